// The live page: a camera (or a microphone) goes in, an animated portrait comes back. docs/live-protocol.md says what
// is said on the socket. One clock, performance.now(), stamps what is sent and measures what comes back.

const HEADER = 24, PICTURE = 1, SOUND = 2, PORTRAIT = 3, JPEG = 1, PCM = 16;
const LONGEST_PX = 384; // of a frame that is sent: the networks see a crop of it
const PORTRAIT_PX = 1024;
const REMEMBERED = 120; // latencies
const COME_BACK_MS = 4500; // a broken connection; the server waits 5 s
const SERVER_ENDS = 1012, COME_BACK = [1001, 1005, 1006, SERVER_ENDS]; // how sockets are closed by no wish of anybody
const $ = (id) => document.getElementById(id);
const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1000);

function packet(kind, codec, sequence, timeUs, payload) {
  const data = new Uint8Array(HEADER + payload.byteLength), view = new DataView(data.buffer);
  view.setUint8(0, kind);
  view.setUint8(1, codec);
  view.setUint32(4, sequence);
  view.setBigUint64(8, BigInt(timeUs));
  data.set(new Uint8Array(payload), HEADER);
  return data;
}

function unpacked(data) {
  const view = new DataView(data);
  return {
    kind: view.getUint8(0), timeUs: Number(view.getBigUint64(8)), latencyUs: Number(view.getBigUint64(16)),
    payload: data.slice(HEADER),
  };
}

const median = (numbers) => numbers.length ? [...numbers].sort((a, b) => a - b)[numbers.length >> 1] : null;
const ms = (number) => number === null || number === undefined ? "–" : `${Math.round(number)} ms`;
function keep(list, number) {
  list.push(number);
  if (list.length > REMEMBERED) list.shift();
}

class Session {
  constructor(media, withSound, ended) {
    Object.assign(this, { media, withSound, ended, over: false, credit: 0, sent: 0, sounds: 0, rate: 30, nextMs: 0 });
    this.all = [];
    this.network = [];
    this.browser = [];
    this.shownAt = [];
    this.cameraDrops = 0;
    this.stats = null;
    this.encoding = false;
    this.encodeMs = 0;
  }

  async start(picture) {
    this.picture = picture;
    this.asked = await ask("/v1/live");
    const speaks = this.asked.driver === "audio";
    this.withSound ||= speaks;
    $("sound").checked = this.withSound;
    $("from").textContent = speaks ? "microphone" : "camera";
    $("anew").hidden = $("rate-line").hidden = speaks; // of a camera's frames
    await this.connect(this.asked.ticket, true);
  }

  // The socket, and hello. Sequence numbers and credit are a connection's own.
  async connect(ticket) {
    this.credit = this.sent = this.sounds = 0;
    if (this.withSound) await this.openSound();
    const address = new URL(this.asked.socket, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(address, ["hp-trt.live.1", `ticket.${ticket}`]);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.say({
      type: "hello", version: 1, media: this.media,
      sound_hz: this.media === "socket" && this.withSound ? this.audio.sampleRate : null,
    });
    // Messages one after the other: what one begins, the next may need.
    let before = Promise.resolve();
    this.socket.onmessage = ({ data }) => {
      if (typeof data !== "string") return this.take(data);
      before = before.then(() => this.over || this.hear(JSON.parse(data))).catch((error) => this.end(error.message));
    };
    this.socket.onclose = ({ code }) => this.closed(code);
  }

  say(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // Who was cut off comes back to its session; where that is gone, as with its server, to another one.
  async closed(code) {
    if (this.over) return;
    const until = performance.now() + COME_BACK_MS;
    while (COME_BACK.includes(code) && performance.now() < until && !this.over) {
      state("The connection broke; coming back ...");
      try {
        return await this.connect(await this.ticketAfter(code));
      } catch { await new Promise((next) => setTimeout(next, 500)); }
    }
    if (!this.over) this.end(this.last || "The connection is gone.");
  }

  async ticketAfter(code) {
    if (code !== SERVER_ENDS) {
      try {
        return (await ask(`/v1/live/${this.asked.id}/ticket`)).ticket;
      } catch (error) { if (error.status !== 404) throw error; }
    }
    this.asked = await ask("/v1/live");
    this.peer?.close();
    this.peer = null;
    this.last = "";
    return this.asked.ticket;
  }

  async hear(message) {
    switch (message.type) {
      case "welcome":
        this.welcome = message;
        this.setRate(message.frames_per_s);
        if (!message.portrait) await this.sendPortrait(this.picture);
        await this.openMedia();
        break;
      case "ready":
        $("out").width = message.size[0];
        $("out").height = message.size[1];
        $("out").style.aspectRatio = $("remote").style.aspectRatio = message.size.join(" / ");
        state(message.resumed ? "Live again." : "Live.");
        if (this.media === "webrtc" && !this.peer) await this.negotiate();
        break;
      case "credit": this.credit = message.until; break;
      case "answer": await this.peer.setRemoteDescription({ type: "answer", sdp: message.sdp }); break;
      case "changed": state(message.what === "portrait" ? "The portrait has changed." : "Done."); break;
      case "rate": this.setRate(message.frames_per_s); note(`${message.frames_per_s} frames/s: ${message.why}`); break;
      case "stats": this.stats = message; break;
      case "note": note(message.text); break;
      case "draining": note(`The server ends in ${message.seconds} s.`); break;
      case "error": note(message.detail); if (message.ends) this.last = message.detail; break;
      case "bye": this.last = this.last || message.detail; break;
    }
  }

  async sendPortrait(picture) {
    this.picture = picture;
    this.socket.send(packet(PORTRAIT, JPEG, 0, 0, await (await smaller(picture)).arrayBuffer()));
  }

  setRate(rate) {
    this.rate = rate;
    $("rate").textContent = rate;
    const sender = this.peer?.getSenders().find((one) => one.track?.kind === "video");
    if (sender) {
      const parameters = sender.getParameters();
      for (const encoding of parameters.encodings) encoding.maxFramerate = rate;
      sender.setParameters(parameters).catch(() => {});
    }
  }

  // Camera and microphone, as the driver needs them; once.
  async openMedia() {
    if (this.stream) return;
    const speaks = this.welcome.driver === "audio";
    const stream = await navigator.mediaDevices.getUserMedia({
      video: speaks ? false : { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 25 } },
      audio: speaks || this.withSound ? { echoCancellation: true } : false,
    });
    if (this.over) return stopped(stream); // while the browser asked whether it may
    this.stream = stream;
    if (!speaks) {
      $("camera").srcObject = this.stream;
      $("camera").parentElement.hidden = false;
      await $("camera").play();
      if (this.media === "socket") this.watchCamera();
    }
    if (this.media === "socket" && this.withSound) this.listen();
    this.ticking = setInterval(() => this.show(), 500);
  }

  // Socket: frames of the camera, as many as there is credit for, at most at the rate.
  watchCamera() {
    const canvas = document.createElement("canvas"), camera = $("camera"), pen = canvas.getContext("2d");
    const frame = () => {
      if (this.over) return;
      camera.requestVideoFrameCallback(frame);
      const timeUs = nowUs(), atMs = performance.now();
      if (atMs < this.nextMs - 8) return;
      if (this.sent >= this.credit || this.encoding || this.socket.readyState !== WebSocket.OPEN) {
        if (this.credit) this.cameraDrops++;
        return;
      }
      this.nextMs = Math.max(this.nextMs, atMs - 1000 / this.rate) + 1000 / this.rate;
      const shrink = Math.min(1, LONGEST_PX / Math.max(camera.videoWidth, camera.videoHeight));
      const [width, height] = [camera.videoWidth, camera.videoHeight].map((side) => Math.round(side * shrink));
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      pen.drawImage(camera, 0, 0, width, height);
      this.encoding = true;
      const socket = this.socket;
      canvas.toBlob(async (blob) => {
        const data = blob && await blob.arrayBuffer();
        this.encoding = false;
        if (data && socket === this.socket && socket.readyState === WebSocket.OPEN) {
          socket.send(packet(PICTURE, JPEG, this.sent++, timeUs, data));
        }
      }, "image/jpeg", 0.85);
    };
    camera.requestVideoFrameCallback(frame);
  }

  async openSound() {
    if (this.audio) return;
    this.audio = new AudioContext();
    await this.audio.resume();
    await this.audio.audioWorklet.addModule("/live/microphone.js");
    this.playsUntil = 0;
  }

  listen() {
    const microphone = new AudioWorkletNode(this.audio, "microphone", { numberOfOutputs: 0 });
    let begunUs = 0, samples = 0;
    microphone.port.onmessage = ({ data }) => {
      const count = data.byteLength / 2;
      const lastUs = nowUs() - count / this.audio.sampleRate * 1e6;
      if (!samples) begunUs = lastUs;
      // The samples count the time; the clock corrects it where a machine slept.
      let timeUs = begunUs + samples / this.audio.sampleRate * 1e6;
      if (Math.abs(timeUs - lastUs) > 5e5) { begunUs += lastUs - timeUs; timeUs = lastUs; }
      samples += count;
      if (this.socket.readyState === WebSocket.OPEN && this.socket.bufferedAmount < 1e6) {
        this.socket.send(packet(SOUND, PCM, this.sounds++, Math.round(timeUs), data));
      }
    };
    this.audio.createMediaStreamSource(this.stream).connect(microphone);
  }

  // Socket: what came back. Sound goes at once, each piece behind the one before; it comes just before its picture.
  async take(data) {
    const came = unpacked(data), arrivedUs = nowUs();
    if (came.kind === SOUND) return this.play(came.payload);
    const bitmap = await createImageBitmap(new Blob([came.payload], { type: "image/jpeg" }));
    if (this.over) return bitmap.close();
    const waits = this.next; // a page that is not seen draws nothing: one picture waits, not all of them
    this.next = { ...came, bitmap, arrivedUs };
    if (waits) waits.bitmap.close();
    else requestAnimationFrame(() => this.draw());
  }

  draw() {
    const { bitmap, timeUs, latencyUs, arrivedUs } = this.next;
    this.next = null;
    $("out").getContext("2d").drawImage(bitmap, 0, 0, $("out").width, $("out").height);
    bitmap.close();
    const shownUs = nowUs();
    keep(this.all, (shownUs - timeUs) / 1000);
    keep(this.network, (arrivedUs - timeUs - latencyUs) / 1000);
    keep(this.browser, (shownUs - arrivedUs) / 1000);
    this.shownAt.push(performance.now());
  }

  play(payload) {
    const samples = new Int16Array(payload), hz = this.welcome.sound_hz, audio = this.audio;
    if (!audio || !hz || !samples.length) return;
    const buffer = audio.createBuffer(1, samples.length, hz);
    buffer.getChannelData(0).set(Float32Array.from(samples, (sample) => sample / 32768));
    const source = audio.createBufferSource();
    source.buffer = buffer;
    source.connect(audio.destination);
    // Behind the one before; where that is long over, a little later than now, so that the next one is in time.
    if (this.playsUntil < audio.currentTime || this.playsUntil > audio.currentTime + 1) {
      this.playsUntil = audio.currentTime + 0.03;
    }
    source.start(this.playsUntil);
    this.playsUntil += buffer.duration;
  }

  // WebRTC: one offer, whole, when frames are taken; the animated portrait comes as a track.
  async negotiate() {
    const peer = this.peer = new RTCPeerConnection({ iceServers: this.welcome.ice_servers });
    const remote = $("remote");
    peer.ontrack = ({ streams, track }) => {
      remote.srcObject = streams[0] ?? new MediaStream([track]);
      remote.muted = !this.withSound && this.welcome.driver !== "audio";
      remote.play().catch(() => {});
    };
    for (const track of this.stream.getTracks()) peer.addTrack(track, this.stream);
    if (this.welcome.driver === "audio") peer.addTransceiver("video", { direction: "recvonly" });
    await peer.setLocalDescription(await peer.createOffer());
    await new Promise((done) => {
      const look = () => peer.iceGatheringState === "complete" && done();
      peer.onicegatheringstatechange = look;
      setTimeout(done, 3000);
      look();
    });
    $("out").hidden = true;
    remote.hidden = false;
    const count = (now, shown) => {
      if (this.over) return;
      remote.requestVideoFrameCallback(count);
      this.shownAt.push(performance.now());
      this.toldWhen ||= Boolean(shown.receiveTime);
      if (shown.receiveTime) keep(this.browser, shown.expectedDisplayTime - shown.receiveTime + this.encodeMs);
    };
    remote.requestVideoFrameCallback(count);
    this.say({ type: "offer", sdp: peer.localDescription.sdp });
    this.setRate(this.rate);
  }

  // What the statistics of the last half second say: the network's round trip, how long the camera's frames take to be
  // encoded, and, where frames do not say when they were received, how long those that came wait and are decoded.
  async measurePeer() {
    const before = this.received ?? {}, found = {};
    for (const one of (await this.peer.getStats()).values()) {
      if (one.type === "inbound-rtp" && one.kind === "video") {
        Object.assign(found, { wait: one.totalProcessingDelay, frames: one.framesDecoded });
      } else if (one.type === "outbound-rtp" && one.kind === "video") {
        Object.assign(found, { encode: one.totalEncodeTime + (one.totalPacketSendDelay ?? 0), sent: one.framesEncoded });
      } else if (one.type === "candidate-pair" && one.nominated && one.currentRoundTripTime !== undefined) {
        found.trip = one.currentRoundTripTime;
      }
    }
    this.received = found;
    if (found.trip !== undefined) keep(this.network, found.trip * 1000);
    if (found.sent > before.sent) this.encodeMs = (found.encode - before.encode) / (found.sent - before.sent) * 1000;
    if (!this.toldWhen && found.frames > before.frames) {
      keep(this.browser, (found.wait - before.wait) / (found.frames - before.frames) * 1000 + this.encodeMs);
    }
  }

  async show() {
    if (this.peer && !this.over) await this.measurePeer().catch(() => {});
    const at = performance.now();
    this.shownAt = this.shownAt.filter((shown) => at - shown < 3000);
    $("fps").textContent = (this.shownAt.length / 3).toFixed(1);
    const stats = this.stats;
    if (!stats) return;
    const engine = stats.engine_p50_s === null ? null : stats.engine_p50_s * 1000;
    const held = stats.held_p50_s === null ? null : stats.held_p50_s * 1000;
    const network = median(this.network), browser = median(this.browser);
    const all = this.media === "socket" ? median(this.all)
      : stats.server_p50_s === null ? null : stats.server_p50_s * 1000 + (network ?? 0) + (browser ?? 0);
    $("engine").textContent = ms(engine);
    $("held").textContent = ms(held);
    $("network").textContent = ms(network);
    $("browser").textContent = ms(browser);
    $("all").textContent = ms(all);
    const drops = { ...stats.dropped, camera: this.cameraDrops };
    const some = Object.entries(drops).filter(([, count]) => count).map(([where, count]) => `${where} ${count}`);
    $("dropped").textContent = some.join(", ") || "none";
    const slow = browser !== null && network !== null && network > 150 ? "network" : "";
    $("why").textContent = { engine: "the engine", reader: "this browser", rate: "the rate that was asked for" }[stats.why]
      ?? (slow || "nothing");
    window.live = { all, engine, held, network, browser, shown: this.shownAt.length / 3, rate: this.rate };
  }

  end(why) {
    if (this.over) return;
    this.over = true;
    clearInterval(this.ticking);
    this.say({ type: "bye" });
    this.socket?.close();
    this.peer?.close();
    this.audio?.close();
    if (this.stream) stopped(this.stream);
    $("camera").srcObject = $("remote").srcObject = null;
    $("remote").hidden = $("camera").parentElement.hidden = true;
    $("out").hidden = false;
    this.ended(why);
  }
}

function stopped(stream) {
  for (const track of stream.getTracks()) track.stop();
}

// A picture no larger than is of use, as a JPEG: nothing of the file but what one sees is sent.
async function smaller(file) {
  const bitmap = await createImageBitmap(file);
  const shrink = Math.min(1, PORTRAIT_PX / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(bitmap.width * shrink);
  canvas.height = Math.round(bitmap.height * shrink);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
}

async function ask(address) {
  const token = $("token").value;
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(address, { method: "POST", headers, body: "{}" });
  if (answer.status === 401) $("token-line").hidden = false;
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw Object.assign(new Error(said.detail || `the server answered ${answer.status}`), { status: answer.status });
  }
  return said;
}

function state(text) { $("state").textContent = text; }
function note(text) {
  const line = document.createElement("li");
  line.textContent = text;
  $("notes").prepend(line);
  while ($("notes").children.length > 5) $("notes").lastChild.remove();
}

let session = null;

function running(on) {
  $("start").disabled = on;
  $("stop").disabled = $("anew").disabled = !on;
  for (const input of [...document.querySelectorAll("[name=media]"), $("sound")]) input.disabled = on;
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = $("portrait").files[0];
  if (!file || session) return;
  const media = document.querySelector("[name=media]:checked").value;
  state("Asking for a session ...");
  running(true);
  session = new Session(media, $("sound").checked, (why) => {
    session = null;
    running(false);
    state(why);
  });
  try {
    await session.start(file);
    state("The portrait is being looked at ...");
  } catch (error) {
    session?.end(error.message);
  }
});
$("stop").addEventListener("click", () => session?.end("Stopped."));
$("anew").addEventListener("click", () => session?.say({ type: "reanchor" }));
$("portrait").addEventListener("change", async () => {
  const file = $("portrait").files[0];
  if (!file) return;
  if (session) {
    state("The portrait is being changed ...");
    await session.sendPortrait(file);
  } else {
    const bitmap = await createImageBitmap(file).catch(() => null);
    if (!bitmap) return state("This is no picture that can be opened.");
    Object.assign($("out"), { width: bitmap.width, height: bitmap.height });
    $("out").style.aspectRatio = `${bitmap.width} / ${bitmap.height}`;
    $("out").getContext("2d").drawImage(bitmap, 0, 0);
  }
});
addEventListener("pagehide", () => session?.end("The page was closed."));
