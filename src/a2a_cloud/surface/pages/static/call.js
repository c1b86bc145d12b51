// A call as its caller lives through it: sent in the form that fits, followed to its end, over questions
// and broken connections (docs/http.md).

import { Refused } from "./api.js";
import { events } from "./sse.js";

export const TERMINAL = new Set(["completed", "failed", "canceled", "rejected"]);
const WAITING = new Set(["input-required", "auth-required"]);
const OWN_QUERY = new Set(["file", "async", "exp", "sig"]);
const PAUSES = [200, 400, 800, 1600, 3000, 4000, 5000, 5000, 5000];
const MESSAGE_FILES = 11_000_000;
const MESSAGE = { "Content-Type": "application/json", "A2A-Version": "1.0" };

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

export function mediaType(file, param) {
  if (/\.md$/i.test(file.name)) return "text/markdown";
  if (file.type) return file.type;
  return (param.media_types ?? []).find((kind) => !kind.includes("*")) ?? "application/octet-stream";
}

// A file alone goes as the body, of any size; its arguments go into the query.
export function fitsRaw(call) {
  if (call.files.length !== 1 || mediaType(call.files[0].file, call.files[0].param) === "application/json") return false;
  const names = Object.keys(call.args);
  return !names.some((name) => OWN_QUERY.has(name)) && query(call).length < 4000;
}

export function query(call) {
  const values = Object.entries(call.args).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
  return new URLSearchParams([...values, ["file", call.files[0].param.name]]).toString();
}

async function base64(file) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error(`${file.name} can't be read.`));
    reader.readAsDataURL(file);
  });
  return url.slice(url.indexOf(",") + 1);
}

export async function messageParts(call) {
  if (call.text !== undefined) return [{ text: call.text }];
  const parts = [{ data: { skill: call.skill, arguments: call.args }, mediaType: "application/json" }];
  const size = call.files.reduce((sum, each) => sum + each.file.size, 0);
  if (size > MESSAGE_FILES) {
    throw new Refused(413, {
      code: "too_large",
      detail: "The files are larger than 11 MB together, more than a message takes.",
      remedy: "One file alone may be of any size.",
    });
  }
  for (const { param, file } of call.files) {
    parts.push({ raw: await base64(file), filename: file.name, mediaType: mediaType(file, param), metadata: { param: param.name } });
  }
  return parts;
}

const newMessage = (parts, taskId) => ({
  message: { messageId: `msg-${crypto.randomUUID?.() ?? Math.random().toString(36).slice(2)}`, role: "ROLE_USER", parts, ...(taskId ? { taskId } : {}) },
  configuration: { returnImmediately: true },
});

// `view` is told: event({id, kind, data}), ids({run, task}), waiting(question), asking(approval), refused(problem),
// broken(why).
export class Call {
  constructor(api, base, view) {
    this.api = api;
    this.base = base;
    this.view = view;
    this.run = "";
    this.task = "";
    this.last = "";
    this.state = "";
    this.approval = null;
    this.receipt = "";
  }

  start(call) {
    return this.#guard(async () => {
      if (call.text !== undefined || (call.files.length && !fitsRaw(call))) return this.#message(await messageParts(call));
      const path = `${this.base}/invoke/${encodeURIComponent(call.skill)}`;
      const headers = { Accept: "text/event-stream", "Content-Type": "application/json" };
      if (!call.files.length) return this.#follow(() => this.api.open(path, { method: "POST", headers, body: JSON.stringify(call.args) }));
      const { param, file } = call.files[0];
      headers["Content-Type"] = mediaType(file, param);
      headers["Content-Disposition"] = `attachment; filename*=UTF-8''${encodeURIComponent(file.name)}`;
      return this.#follow(() => this.api.open(`${path}?${query(call)}`, { method: "POST", headers, body: file }));
    });
  }

  // Answers the open question with an A2A part, and goes on.
  answer(part) {
    return this.#guard(async () => {
      await this.api.open(`${this.base}/tasks`, { method: "POST", headers: MESSAGE, body: JSON.stringify(newMessage([part], this.task)) });
      this.state = "working";
      return this.#follow(() => this.#resume());
    });
  }

  cancel() {
    return this.api.open(`${this.base}/tasks/${encodeURIComponent(this.task)}:cancel`, { method: "POST", headers: MESSAGE, body: "{}" });
  }

  async #guard(work) {
    try {
      await work();
    } catch (error) {
      const problem = error instanceof Refused ? error.problem : { code: "unreachable", detail: error.message, remedy: "Look at the terminal of a2a dev." };
      this.view.refused(problem);
    }
  }

  async #message(parts) {
    const answer = await this.api.json(`${this.base}/tasks`, { method: "POST", headers: MESSAGE, body: JSON.stringify(newMessage(parts)) });
    if (!answer.task) return this.#bare(answer.message);
    this.#ids(answer.task.metadata?.["a2a-cloud/run"], answer.task.id);
    return this.#follow(() => this.#resume());
  }

  #bare(message) {
    this.#take({ id: "", kind: "reply", data: { message } });
    this.#take({ id: "", kind: "status", data: { state: "completed" } });
  }

  #resume() {
    const headers = { Accept: "text/event-stream" };
    if (this.last) headers["Last-Event-ID"] = this.last;
    return this.api.open(`${this.base}/sse/${encodeURIComponent(this.task)}`, { headers });
  }

  async #follow(open) {
    for (let tried = 0; ; tried += 1) {
      try {
        const answer = await open();
        this.#ids(answer.headers.get("A2A-Run"), answer.headers.get("A2A-Task"));
        if (!(answer.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) return this.#bare(await answer.json());
        for await (const event of events(answer)) {
          if (event.kind === "error") throw new Refused(event.data.status ?? 500, event.data);
          if (event.id) tried = 0;
          this.#take(event);
          if (event.id && WAITING.has(this.state)) break;
        }
        if (TERMINAL.has(this.state)) return undefined;
        if (this.approval) {
          // Somebody else decides that, and the run goes on by itself.
          this.view.asking(this.approval);
          this.approval = null;
          tried = -1;
          open = () => this.#resume();
          continue;
        }
        if (this.state === "input-required" && this.question) return this.view.waiting(this.question);
      } catch (error) {
        // A refusal before there is a task, or one that stays, is the end; a broken line is taken up again.
        if (!this.task || (error instanceof Refused && ![502, 503].includes(error.status))) throw error;
      }
      if (!this.task || tried >= PAUSES.length) throw new Error("The stream ended before the run did.");
      this.view.broken("Connection lost, taking it up again");
      await pause(PAUSES[tried]);
      open = () => this.#resume();
    }
  }

  #ids(run, task) {
    this.run = run || this.run;
    this.task = task || this.task;
    this.view.ids(this);
  }

  #take(event) {
    if (event.id) this.last = event.id;
    if (event.kind === "status") {
      // The status at a resumed stream's start may still show the question that was just answered.
      if (event.id || !WAITING.has(event.data.state)) this.state = event.data.state;
      this.question = event.id && WAITING.has(event.data.state) ? (event.data.question ?? { text: "", schema: true }) : null;
      if (event.id) this.approval = event.data.state === "auth-required" ? (event.data.approval ?? { text: "", id: "" }) : null;
      this.receipt = event.data.receipt_id ?? this.receipt;
      this.#ids(event.data.run_id, event.data.task_id);
    }
    this.view.event(event);
  }
}
