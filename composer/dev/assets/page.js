"use strict";
// The page of `byoc dev`. Everything that comes from the server is put in as text, never as HTML.

const $ = (id) => document.getElementById(id);

function make(tag, set = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(set)) {
    if (name === "class") made.className = value;
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.map((each) => (each instanceof Node ? each : String(each))));
  return made;
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return answer;
}

// pictures

class Screen {
  // One video that plays an endless stream, and begins again when that breaks.
  constructor(kind) {
    this.video = $(kind);
    this.note = $(`${kind}-note`);
    this.url = new URL(`/dev/${kind}.ts`, location.href).href;
    this.player = null;
    this.wanted = false;
    this.moved = 0;
    this.at = -1;
    setInterval(() => this.check(), 1000);
  }

  play(wanted) {
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    if (wanted) this.begin();
    else this.end();
  }

  begin() {
    this.end();
    if (!window.mpegts || !mpegts.isSupported()) {
      this.note.textContent = "this browser cannot play it";
      return;
    }
    this.player = mpegts.createPlayer(
      { type: "mpegts", isLive: true, url: this.url },
      {
        enableWorker: false, // a worker would be a script from a blob
        enableStashBuffer: false,
        lazyLoad: false,
        liveSync: true,
        liveSyncMaxLatency: 0.6,
        liveSyncTargetLatency: 0.3,
        liveBufferLatencyChasing: true,
        liveBufferLatencyMaxLatency: 4.0,
        liveBufferLatencyMinRemain: 0.5,
        autoCleanupSourceBuffer: true,
      },
    );
    this.player.on(mpegts.Events.ERROR, (type, detail) => {
      this.note.textContent = `${type}: ${detail}`;
      this.later();
    });
    this.player.on(mpegts.Events.LOADING_COMPLETE, () => this.later());
    this.player.attachMediaElement(this.video);
    this.player.load();
    this.begun = performance.now();
    this.moved = this.begun;
    Promise.resolve(this.player.play()).catch(() => {});
  }

  end() {
    const player = this.player;
    this.player = null;
    if (player) player.destroy();
  }

  later() {
    if (!this.player) return;
    setTimeout(() => this.wanted && this.begin(), 1000);
    this.end();
  }

  check() {
    // Over a hole in the times a browser stands still, though it has what comes behind it.
    const video = this.video;
    if (!this.player) return;
    if (video.currentTime !== this.at) {
      this.at = video.currentTime;
      this.moved = performance.now();
    }
    const ranges = video.buffered;
    const newest = ranges.length ? ranges.end(ranges.length - 1) : 0;
    const stands = performance.now() - this.moved > 1500;
    if (stands && newest - video.currentTime > 0.3) {
      video.currentTime = Math.max(ranges.start(ranges.length - 1), newest - 0.5);
    }
    if (video.paused) video.play().catch(() => {});
    if (video.videoWidth) this.note.textContent = `${video.videoWidth} × ${video.videoHeight}`;
  }
}

const screens = { input: new Screen("input"), output: new Screen("output") };

// params

let formOf = "";
const fields = new Map();

class Field {
  // One param: its control, what the server said of the last change.
  constructor(name, schema) {
    this.name = name;
    this.schema = schema;
    this.touched = 0;
    this.sending = false;
    this.waiting = undefined;
    this.said = make("div", { class: "said", role: "status" });
    this.control = this.made();
    const notes = [schema.description, schema["x-change"] === "rebuild" ? "rebuilds its node" : ""];
    const help = notes.filter(Boolean).join("; ");
    this.row = make(
      "div",
      { class: "field" },
      make("label", { htmlFor: this.id, textContent: name }),
      make("div", { class: "control" }, ...this.control),
      ...(help ? [make("div", { class: "help", textContent: help })] : []),
      this.said,
    );
  }

  get id() {
    return `param-${this.name}`;
  }

  made() {
    const { schema } = this;
    const number = schema.type === "number" || schema.type === "integer";
    if (Array.isArray(schema.enum)) return this.choice(schema.enum);
    if (schema.type === "boolean") return this.toggle();
    if (number && this.least !== undefined && this.most !== undefined) return this.slider();
    return this.text(number);
  }

  get least() {
    return this.schema.minimum ?? this.schema.exclusiveMinimum;
  }

  get most() {
    return this.schema.maximum ?? this.schema.exclusiveMaximum;
  }

  choice(values) {
    const select = make("select", { id: this.id }, ...values.map((each) => new Option(String(each))));
    select.onchange = () => this.send(values[select.selectedIndex]);
    this.show = (value) => (select.selectedIndex = values.indexOf(value));
    return [select];
  }

  toggle() {
    const box = make("input", { id: this.id, type: "checkbox" });
    box.onchange = () => this.send(box.checked);
    this.show = (value) => (box.checked = value === true);
    return [box];
  }

  slider() {
    const whole = this.schema.type === "integer";
    const span = this.most - this.least;
    const step = whole ? 1 : 10 ** Math.floor(Math.log10(span / 100 || 1));
    const digits = whole ? 0 : Math.max(0, -Math.floor(Math.log10(step)));
    const slider = make("input", {
      id: this.id, type: "range", min: this.least, max: this.most, step: whole ? 1 : "any",
    });
    const shown = make("output");
    slider.oninput = () => {
      const value = Number(Number(slider.value).toFixed(digits));
      shown.textContent = value;
      this.send(value);
    };
    this.show = (value) => {
      slider.value = value;
      shown.textContent = Number(Number(value).toFixed(Math.max(digits, 3)));
    };
    return [slider, shown];
  }

  text(number) {
    const input = make("input", { id: this.id, type: number ? "number" : "text" });
    if (number) input.step = this.schema.type === "integer" ? "1" : "any";
    input.onfocus = () => (this.touched = Infinity);
    input.onblur = () => (this.touched = performance.now());
    input.onchange = () => this.send(number ? Number(input.value) : this.read(input.value));
    input.onkeydown = (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        input.blur();
      }
    };
    this.show = (value) => {
      input.value = typeof value === "object" && value !== null ? JSON.stringify(value) : value ?? "";
    };
    return [input];
  }

  read(text) {
    if (this.schema.type === "string" || !/^[[{]/.test(text)) return text;
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }

  // One request at a time; while one is on its way only the newest value waits.
  async send(value) {
    this.touched = performance.now();
    this.waiting = { value };
    if (this.sending) return;
    this.sending = true;
    try {
      while (this.waiting) {
        const next = this.waiting;
        this.waiting = undefined;
        await this.change(next.value);
      }
    } catch {
      this.tell("the server does not answer", true);
    } finally {
      this.sending = false;
      this.touched = performance.now();
    }
  }

  async change(value) {
    const answer = await post("/dev/params", { [this.name]: value });
    const body = await answer.json();
    if (answer.ok) {
      const at = body.pts_seconds;
      this.tell(at === null ? "accepted" : `from ${at.toFixed(2)} s of the stream on`, false);
      return;
    }
    const own = (body.problems || []).find((each) => each.field === this.name);
    const problem = own || (body.problems || [])[0];
    this.tell(problem ? [problem.message, problem.hint].filter(Boolean).join(" - ") : body.message, true);
  }

  tell(text, bad) {
    this.said.textContent = text;
    this.said.classList.toggle("bad", bad);
  }

  update(value) {
    if (!this.sending && performance.now() - this.touched > 1200) this.show(value);
  }
}

function showParams({ schema, values }) {
  const text = JSON.stringify(schema);
  if (text !== formOf) {
    formOf = text;
    fields.clear();
    for (const [name, each] of Object.entries(schema.properties)) fields.set(name, new Field(name, each));
    const rows = [...fields.values()].map((each) => each.row);
    const none = make("p", { class: "empty", textContent: "The pipeline has none: `params:` in the file names some." });
    $("params").replaceChildren(...(rows.length ? rows : [none]));
  }
  for (const [name, field] of fields) field.update(values[name]);
}

// the rest

const badges = {
  ONLINE: ["online", "good"],
  LOADING: ["loading", "warn"],
  DEGRADED_INPUT: ["no input comes", "warn"],
  DEGRADED_INFERENCE: ["a node fails", "warn"],
  OFFLINE: ["no session", "bad"],
  ERROR: ["failed", "bad"],
};

function showSession(session) {
  const [text, kind] = session.paused ? ["paused", "warn"] : badges[session.state] || [session.state, ""];
  $("state").textContent = text;
  $("state").className = `badge ${kind}`;
  $("pause").textContent = session.paused ? "Go on" : "Pause";
  $("pause").setAttribute("aria-pressed", String(session.paused));
  const failing = session.state === "DEGRADED_INFERENCE" || session.state === "ERROR";
  const wrong = session.failure || (failing ? session.error : "");
  $("failure").textContent = wrong;
  $("failure").hidden = !wrong;
  $("input-figure").hidden = !session.input;
  $("output-figure").hidden = !session.output;
  $("pictures").classList.toggle("one", !(session.input && session.output));
  screens.input.play(session.input);
  screens.output.play(session.output);
}

function reasons(dropped) {
  return Object.entries(dropped || {}).map(([reason, count]) => `${count} ${reason}`).join(", ");
}

const cell = (text, kind = "") => make("td", { class: kind, textContent: text ?? "" });

function showNodes(graph, live) {
  const rows = Object.entries(graph.steps).map(([name, step]) => {
    const now = live.nodes[name] || {};
    const source = !Object.keys(step.inputs).length;
    const lost = reasons(now.dropped);
    return make(
      "tr", {},
      cell(name), cell(step.type, "wide"), cell(now.fps?.toFixed(1), "n"),
      cell(source ? "" : now.ms?.toFixed(2), "n"), cell(source ? "" : now.taken, "n wide"),
      cell(now.given, "n"), cell(lost, lost ? "warn" : ""), cell(now.errors || "", "n bad"),
    );
  });
  $("nodes").replaceChildren(...rows);
}

function showEdges(graph, live) {
  const rows = graph.edges.map((edge) => {
    const name = `${edge.from} -> ${edge.to}`;
    const now = live.edges[name] || {};
    const lost = reasons(now.dropped);
    return make(
      "tr", {},
      cell(name.replace("->", "→")), cell(edge.format, "wide"), cell(edge.inbox || "none", "wide"),
      cell(now.fps?.toFixed(1), "n"), cell(now.queue, "n"), cell(lost, lost ? "warn" : ""),
    );
  });
  $("edges").replaceChildren(...rows);
}

function showProblems(problems) {
  const items = problems.map((each) => {
    const place = [each.file || each.at, each.line, each.column].filter(Boolean).join(":");
    const parts = [
      make("div", {}, make("span", { class: "place", textContent: `${place} ` }), make("b", { textContent: each.code })),
      make("div", { textContent: each.message }),
    ];
    if (each.text) {
      const begin = each.column - 1;
      const end = begin + each.length;
      parts.push(make("pre", {}, each.text.slice(0, begin), make("b", { textContent: each.text.slice(begin, end) }), each.text.slice(end)));
    }
    if (each.hint) parts.push(make("div", { class: "hint", textContent: each.hint }));
    return make("li", {}, ...parts);
  });
  $("problems").replaceChildren(...items);
  $("problem-card").hidden = !items.length;
}

const outcomes = { patched: "good", rebuilt: "good", refused: "bad" };

function showReloads(reloads) {
  const items = reloads.map((each) => {
    const files = each.changed.map((name) => name.split("/").pop()).join(", ") || "everything";
    const what = each.nodes.length ? `${files}: ${each.nodes.join(", ")}` : files;
    return make(
      "li", {},
      make("time", { textContent: new Date(each.at_ms).toLocaleTimeString([], { hour12: false }) }),
      make("span", { class: `badge ${outcomes[each.outcome] || ""}`, textContent: each.outcome }),
      make("span", { class: "what", textContent: what }),
      make("span", { class: "ms", textContent: `${each.milliseconds.toFixed(0)} ms` }),
    );
  });
  const none = make("li", {}, make("span", { class: "empty", textContent: "Nothing was saved yet." }));
  $("reloads").replaceChildren(...(items.length ? items : [none]));
}

let graphOf = "";
let drawn = 0;

function showGraph(graph, reloads) {
  // What a box says of its node's settings is not in the plan: it may change with any reload.
  const text = JSON.stringify([graph, reloads.map((each) => each.at_ms)]);
  if (text === graphOf) return;
  graphOf = text;
  $("graph").src = `/graph.svg?drawn=${(drawn += 1)}`;
}

function show(state) {
  const name = state.capability || state.file.split("/").pop();
  document.title = `${name} - byoc dev`;
  $("name").textContent = name;
  $("file").textContent = state.file;
  showSession(state.session);
  showParams(state.params);
  showProblems(state.problems);
  showReloads(state.reloads);
  showGraph(state.graph, state.reloads);
  showNodes(state.graph, state.live);
  showEdges(state.graph, state.live);
}

$("params").onsubmit = (event) => event.preventDefault();
$("rebuild").onclick = () => post("/dev/rebuild", {});
$("pause").onclick = () => post("/dev/pause", {});
$("snapshot").onclick = async () => {
  const answer = await post("/dev/snapshot", {});
  if (!answer.ok) return;
  const address = URL.createObjectURL(await answer.blob());
  make("a", { href: address, download: "snapshot.png" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
};

history.replaceState(null, "", "/"); // the cookie has taken the token's place
const events = new EventSource("/dev/events");
events.onmessage = (event) => show(JSON.parse(event.data));
events.onerror = () => {
  $("state").textContent = "byoc dev does not answer";
  $("state").className = "badge bad";
};
