// The microphone's samples, in pieces of a 25th of a second, as 16-bit numbers, for live.js.
class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Int16Array(Math.round(sampleRate / 25));
    this.filled = 0;
  }

  process([input]) {
    const heard = input[0];
    if (!heard) return true;
    for (const level of heard) {
      this.piece[this.filled++] = Math.max(-1, Math.min(1, level)) * 32767;
      if (this.filled === this.piece.length) {
        this.port.postMessage(this.piece.buffer, [this.piece.buffer]);
        this.piece = new Int16Array(Math.round(sampleRate / 25));
        this.filled = 0;
      }
    }
    return true;
  }
}
registerProcessor("microphone", Microphone);
