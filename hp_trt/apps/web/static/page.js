"use strict";
// What the page has beside Gradio: fields whose files go to the service's own gate, and regions that are read out.

window.hpTrt = {
  status(element) {
    element.setAttribute("role", "status");
    element.setAttribute("aria-live", "polite");
  },

  // `props.value` becomes the id of what was uploaded, and is empty while there is none.
  field(element, props) {
    const box = element.querySelector(".hp-file");
    const [input, bar, said, shown] = ["input", "progress", ".hp-said", ".hp-shown"].map((one) => box.querySelector(one));
    const record = box.querySelector(".hp-record");
    let request = null, recorder = null, address = "";

    const say = (text, wrong = false) => {
      said.textContent = text;
      said.classList.toggle("hp-wrong", wrong);
    };

    const show = (file) => {
      URL.revokeObjectURL(address);
      shown.replaceChildren();
      const kind = file.type.split("/")[0];
      const tag = { image: "img", video: "video", audio: "audio" }[kind];
      if (!tag) return;
      address = URL.createObjectURL(file);
      const made = document.createElement(tag);
      if (tag === "img") made.alt = "What was chosen: " + file.name;
      else made.controls = made.muted = made.playsInline = true;
      if (tag === "audio") made.muted = false;
      made.addEventListener("error", () => made.remove());  // the browser cannot show it; the service may still take it
      made.src = address;
      shown.append(made);
    };

    const told = (sent) => {
      try {
        return JSON.parse(sent.responseText);
      } catch {
        return {};
      }
    };

    const facts = (found) => {
      const parts = [];
      if (found.width) parts.push(`${found.width} × ${found.height}`);
      if (found.frames) parts.push(`${found.frames} frames`);
      if (found.seconds) parts.push(`${Number(found.seconds).toFixed(1)} s`);
      return parts.length ? `Uploaded: ${parts.join(", ")}.` : "Uploaded.";
    };

    const send = (file) => {
      if (request) request.abort();
      props.value = "";
      show(file);
      say("It is being uploaded and looked at.");
      bar.hidden = false;
      bar.value = 0;
      const sent = request = new XMLHttpRequest();
      const suffix = file.name.includes(".") ? file.name.split(".").pop() : "";
      sent.open("POST", `${box.dataset.to}?suffix=${encodeURIComponent(suffix)}`);
      sent.setRequestHeader("Content-Type", "application/octet-stream");
      sent.upload.addEventListener("progress", (event) => { bar.value = event.loaded / (event.total || 1); });
      sent.addEventListener("load", () => {
        const answer = told(sent);
        if (sent.status < 300 && answer.id) {
          props.value = answer.id;
          say(facts(answer.facts || {}));
        } else {
          shown.replaceChildren();
          say(answer.detail || "The service did not take it; try again.", true);
        }
      });
      sent.addEventListener("error", () => say("The service did not answer; see whether it still runs, and try again.", true));
      sent.addEventListener("loadend", () => { if (request === sent) { bar.hidden = true; request = null; } });
      sent.send(file);
    };

    const stop = () => { if (recorder && recorder.state !== "inactive") recorder.stop(); };

    const begin = async () => {
      const kind = record.dataset.record, words = record.textContent;
      let stream;
      try {
        stream = await navigator.mediaDevices.getUserMedia({ [kind]: true });
      } catch (error) {
        say(`Nothing can be recorded here (${error.name}); allow it in the browser, or choose a file.`, true);
        return;
      }
      const parts = [];
      recorder = new MediaRecorder(stream);
      recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
      recorder.addEventListener("stop", () => {
        for (const track of stream.getTracks()) track.stop();
        record.textContent = words;
        const type = recorder.mimeType.split(";")[0];
        recorder = null;
        send(new File(parts, `recorded.${type.split("/")[1]}`, { type }));
      });
      recorder.start();
      let seconds = 0;
      const count = () => { record.textContent = `Stop and take it (${seconds++} s)`; };
      const clock = setInterval(count, 1000);
      recorder.addEventListener("stop", () => clearInterval(clock));
      count();
      say("It is being recorded.");
    };

    input.addEventListener("change", () => { if (input.files.length) { stop(); send(input.files[0]); } });
    box.addEventListener("dragover", (event) => event.preventDefault());
    box.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
    });
    if (record) record.addEventListener("click", () => (recorder ? stop() : begin()));
  },
};
