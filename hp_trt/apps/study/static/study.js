// A rater's way through a study. The server says what comes next; the page keeps nothing but the rater's token, so that
// it can be closed, loaded again or gone back to at any moment. An answer that is sent twice is one answer.

const QUESTIONS = [
  ["movement", "Does the face move as the driver does?", "Do lips and face move as the speech asks?"],
  ["quality", "How good is the picture?"],
  ["smoothness", "How smoothly does it move?"],
];
const WORDS = ["bad", "poor", "fair", "good", "excellent"];
const APART_S = 0.02, FAR_S = 0.5; // how far a driver may be from its result; from where on it is set to it
const BEGUN_S = 0.03; // a clock that has gone so far goes on

const at = (id) => document.getElementById(id);
const driver = at("driver"), result = at("result"), form = at("questions");
let key = "", token = null, trial = null, speech = false, watched = false, sending = false, shownAt = 0, ended = new Set();

async function ask(path, body) {
  const headers = token ? { "Study-Rater": token } : {};
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  } catch {
    throw Object.assign(new Error("The server does not answer. Nothing is lost: try again in a moment."), { status: 0 });
  }
  const found = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(found.detail || "The server cannot do this."), { status: response.status });
  return found;
}

function tell(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

function only(id) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== id;
}

// A browser may refuse to keep anything: then the place is lost with the page, and nothing else.
function kept(value) {
  try {
    if (value === undefined) return localStorage.getItem(key);
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch { /* see above */ }
  return null;
}

async function goOn() {
  const study = await ask("api/study");
  key = `hp-trt-study-${study.id}`;
  at("count").textContent = study.trials;
  token = token || kept();
  if (!token) return only("welcome");
  try {
    show(await ask("api/next"));
  } catch (error) {
    if (error.status !== 404) throw error;
    token = kept(null); // of a study that was made anew
    only("welcome");
  }
}

function show(found) {
  sending = false;
  if (!found.trial) {
    for (const media of [driver, result]) { media.pause(); media.removeAttribute("src"); media.load(); }
    trial = null;
    at("total").textContent = found.of;
    return only("thanks");
  }
  at("progress").max = found.of;
  at("progress").value = found.done;
  at("place").textContent = `${found.done + 1} of ${found.of}`;
  if (trial !== found.trial.id) begin(found.trial);
  only("trial");
  hint();
  form.querySelector("input").focus({ preventScroll: true });
}

function begin(next) {
  trial = next.id;
  speech = next.speech;
  watched = false;
  ended = new Set();
  shownAt = performance.now();
  ask_questions();
  at("source").src = `clips/${next.source}`;
  at("speech").hidden = !speech;
  driver.hidden = speech;
  driver.src = `clips/${next.driving}`;
  result.src = `clips/${next.result}`;
  play();
}

function ask_questions() {
  form.replaceChildren(...QUESTIONS.map(([name, asked, spoken]) => {
    const field = document.createElement("fieldset"), legend = document.createElement("legend");
    const grades = document.createElement("div");
    field.name = name;
    legend.textContent = (speech && spoken) || asked;
    grades.className = "grades";
    WORDS.forEach((word, index) => {
      const label = document.createElement("label"), input = document.createElement("input");
      const small = document.createElement("small");
      Object.assign(input, { type: "radio", name, value: String(index + 1) });
      small.textContent = word;
      label.append(input, String(index + 1), small);
      grades.append(label);
    });
    field.append(legend, grades);
    return field;
  }));
}

function graded() {
  const grades = {};
  for (const [name] of QUESTIONS) {
    const chosen = form.querySelector(`input[name=${name}]:checked`);
    if (chosen) grades[name] = Number(chosen.value);
  }
  return grades;
}

function hint() {
  const left = QUESTIONS.length - Object.keys(graded()).length;
  const deaf = speech && driver.muted;
  at("next").disabled = sending || left > 0 || !watched || deaf;
  at("hint").textContent = deaf ? "Turn the sound on: the driver is speech." : !watched ? "Watch the clip to its end once." : left ? `${left} to grade.` : "";
}

async function send() {
  if (at("next").disabled) return;
  sending = true;
  hint();
  tell("");
  const seconds = Math.min((performance.now() - shownAt) / 1000, 86400);
  try {
    show(await ask("api/answers", { trial, grades: graded(), seconds: Math.round(seconds * 10) / 10 }));
    scrollTo(0, 0);
  } catch (error) {
    sending = false;
    tell(error.message);
    if (error.status === 409) await goOn().catch((again) => tell(again.message)); // answered in another window
    else hint();
  }
}

// Driver and result begin together, each time both have ended. Sound takes a moment to begin, so the result begins when
// the driver's clock goes.
async function play() {
  const now = trial, from = driver.currentTime, asked = performance.now();
  try {
    await driver.play();
  } catch (error) {
    if (error.name === "NotAllowedError" && !driver.muted) { // nobody has touched the page yet
      sounds(false);
      play();
    }
    return buttons();
  }
  while (driver.currentTime < from + BEGUN_S && !driver.paused && performance.now() - asked < 1000) {
    await new Promise((done) => setTimeout(done, 5)); // no animation frame: a page in the background has none
  }
  if (now === trial && !driver.paused) await result.play().catch(() => {});
  buttons();
}

async function again() {
  const now = trial;
  ended.clear();
  await Promise.all([driver, result].map((media) => new Promise((done) => {
    media.addEventListener("seeked", done, { once: true });
    media.currentTime = 0;
  })));
  if (now === trial) play();
}

function toggle() {
  if (driver.paused && result.paused) ended.size ? again() : play();
  else { driver.pause(); result.pause(); }
  buttons();
}

function sounds(on) {
  driver.muted = !on;
  watched = watched && !(speech && !on);
  buttons();
  hint();
}

function buttons() {
  const plays = !(driver.paused && result.paused);
  at("play").textContent = plays ? "Stop" : "Play";
  at("play").setAttribute("aria-pressed", String(plays));
  at("sound").textContent = driver.muted ? "Sound off" : "Sound on";
  at("sound").setAttribute("aria-pressed", String(!driver.muted));
}

for (const media of [driver, result]) {
  media.addEventListener("ended", () => {
    ended.add(media);
    if (ended.size < 2) return;
    watched = !(speech && driver.muted);
    hint();
    again();
  });
  media.addEventListener("error", () => {
    if (trial) tell("This clip cannot be played in this browser. Try another browser; your answers so far are kept.");
  });
}
// They stay in step. How smoothly a result plays is graded, so it is the driver that hurries or waits a little.
setInterval(() => {
  if (!trial || ended.size || driver.paused || result.paused || driver.seeking || result.seeking) return;
  const late = result.currentTime - driver.currentTime;
  if (Math.abs(late) > FAR_S) driver.currentTime = result.currentTime;
  driver.playbackRate = Math.abs(late) > APART_S ? 1 + Math.max(-0.12, Math.min(0.12, 3 * late)) : 1;
}, 100);

at("consent").addEventListener("change", () => { at("begin").disabled = !at("consent").checked; });
at("begin").addEventListener("click", async () => {
  at("begin").disabled = true;
  tell("");
  try {
    token = (await ask("api/raters", { consent: true })).token;
    kept(token);
    show(await ask("api/next"));
  } catch (error) {
    at("begin").disabled = false;
    tell(error.message);
  }
});
at("another").addEventListener("click", () => {
  token = kept(null);
  at("consent").checked = false;
  at("begin").disabled = true;
  only("welcome");
});
at("play").addEventListener("click", toggle);
at("sound").addEventListener("click", () => sounds(driver.muted));
at("next").addEventListener("click", send);
form.addEventListener("change", hint);
form.addEventListener("submit", (event) => { event.preventDefault(); send(); });

addEventListener("keydown", (event) => {
  if (at("trial").hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const button = event.target.closest?.("button");
  if (/^[1-5]$/.test(event.key)) {
    const open = [...form.elements].filter((field) => field.tagName === "FIELDSET");
    const here = event.target.closest?.("fieldset");
    const field = here || open.find((each) => !each.querySelector(":checked")) || open.at(-1);
    field.querySelector(`input[value="${event.key}"]`).checked = true;
    const next = open.find((each) => !each.querySelector(":checked"));
    (next || field).querySelector(next ? "input" : ":checked").focus({ preventScroll: true });
    hint();
  } else if (event.key === "Enter" && !button) {
    event.preventDefault();
    send();
  } else if (event.key.toLowerCase() === "p") {
    toggle();
  } else if (event.key.toLowerCase() === "m") {
    sounds(driver.muted);
  }
});
addEventListener("pageshow", (event) => { if (event.persisted) goOn().catch((error) => tell(error.message)); });

goOn().catch((error) => tell(error.message));
