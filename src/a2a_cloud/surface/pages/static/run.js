// One run on the page: its events as they come, its question, what it made, its receipt.

import { Call, TERMINAL } from "./call.js";
import { asCall, asCurl } from "./commands.js";
import { copyText } from "./copy.js";
import { h, json } from "./dom.js";
import { Unfit, field } from "./form.js";
import { artifact, copyable, joined, message, problem, value } from "./show.js";

const BRIEF = 160;

export class RunView {
  constructor(api, agent, call) {
    this.api = api;
    this.began = performance.now();
    this.artifacts = new Map();
    this.count = 0;
    this.live = true;
    this.call = new Call(api, agent.base, this);
    this.state = h("span", { class: "state" }, "sending");
    this.time = h("span", { class: "quiet" });
    this.bar = h("progress", { max: "100", hidden: true });
    this.now = h("p", { class: "now", role: "status" });
    this.text = h("pre", { class: "code text", hidden: true, tabindex: "0" }, h("code"));
    this.open = h("div", { class: "question" });
    this.made = h("div", { class: "made" });
    this.result = h("div", { class: "result" });
    this.receipt = h("div", { class: "receipt" });
    this.log = h("ol", { class: "events" });
    this.logTitle = h("summary", {}, "Events");
    this.stop = h("button", { type: "button", class: "small", hidden: true, onclick: () => this.#cancel() }, "Cancel");
    this.element = h("details", { class: "run", open: true },
      h("summary", {}, this.state, h("strong", {}, call.skill ?? "in words"), this.time),
      h("div", { class: "tools" }, this.stop,
        this.#copy("Copy as a2a call", asCall(agent.name, call)),
        this.#copy("Copy as curl", asCurl(agent.base, call))),
      this.bar, this.now, this.text, this.open, this.made, this.result, this.receipt,
      h("details", { class: "log" }, this.logTitle, this.log));
    this.#tick();
    this.call.start(call);
  }

  #copy(label, text) {
    const button = h("button", { type: "button", class: "small", title: text }, label);
    button.addEventListener("click", () => copyText(text, button));
    return button;
  }

  #tick() {
    this.#showTime();
    if (this.live) setTimeout(() => { if (this.live) this.#tick(); }, 100);
  }

  #showTime() {
    const seconds = (performance.now() - this.began) / 1000;
    this.time.textContent = seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
  }

  #mark(state) {
    this.state.textContent = state;
    this.state.dataset.state = state;
    if (!TERMINAL.has(state)) return;
    this.live = false;
    this.#showTime();
    this.stop.hidden = true;
    this.bar.hidden = true;
    this.now.textContent = "";
    this.element.dataset.ended = state;
  }

  async #cancel() {
    try {
      await this.call.cancel();
    } catch (error) {
      this.now.textContent = error.message;
    }
  }

  // What the call tells

  ids(call) {
    this.stop.hidden = !this.live || !call.task;
    this.element.dataset.run = call.run;
  }

  broken(why) {
    this.now.textContent = why;
  }

  refused(why) {
    this.#mark("failed");
    this.result.replaceChildren(problem(why));
  }

  waiting(question) {
    this.#mark("input-required");
    const { element, read } = field(question.schema ?? true, question.schema ?? {}, { label: "Answer", required: true });
    const why = h("p", { class: "hint bad", role: "alert" });
    const form = h("form", {}, h("p", { class: "asked" }, question.text || "The run waits for an answer."), element, why,
      h("button", { type: "submit", class: "go" }, "Answer"));
    form.noValidate = true;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      let given;
      try {
        given = read();
      } catch (error) {
        if (!(error instanceof Unfit)) throw error;
        why.textContent = error.message;
        error.element?.focus();
        return;
      }
      this.open.replaceChildren(h("p", { class: "quiet" }, question.text, " — ", h("code", {}, JSON.stringify(given ?? null))));
      this.#mark("working");
      this.call.answer({ data: given ?? null, mediaType: "application/json" });
    });
    this.open.replaceChildren(form);
    form.querySelector("input, select, textarea, button")?.focus();
  }

  asking({ id, text }) {
    this.#mark("auth-required");
    const words = `a2a approvals approve ${id}`;
    this.open.replaceChildren(h("div", { class: "approval" }, h("p", { class: "asked" }, text || "The run asks for more than it may."),
      h("p", { class: "hint" }, "Approval ", h("code", {}, id), ": it goes on when somebody with an admin's key decides."),
      copyable(h("pre", { class: "code", tabindex: "0" }, h("code", {}, words)), words)));
  }

  event({ id, kind, data }) {
    this.#note(id, kind, data);
    switch (kind) {
      case "status": return this.#status(id, data);
      case "progress":
        this.bar.hidden = false;
        if (data.percent === null || data.percent === undefined) this.bar.removeAttribute("value");
        else this.bar.value = data.percent;
        this.now.textContent = [data.stage, data.message].filter(Boolean).join(": ");
        return undefined;
      case "text":
        this.text.hidden = false;
        this.text.firstChild.append(data.delta);
        this.text.scrollTop = this.text.scrollHeight;
        return undefined;
      case "artifact": {
        const key = data.artifact.artifactId;
        const whole = joined(this.artifacts.get(key)?.made, data.artifact, data.append);
        const shown = artifact(whole);
        this.artifacts.get(key)?.shown.replaceWith(shown);
        if (!shown.isConnected) this.made.append(shown);
        this.artifacts.set(key, { made: whole, shown });
        return undefined;
      }
      case "result": return this.result.replaceChildren(h("h4", {}, "Result"), value(data.value));
      case "reply": return this.result.replaceChildren(h("h4", {}, "Reply"), message(data.message));
      case "attempt":
        this.text.firstChild.replaceChildren();
        this.made.replaceChildren();
        this.artifacts.clear();
        this.now.textContent = `Attempt ${data.attempt}: ${data.why}`;
        return undefined;
      default: return undefined;
    }
  }

  #status(id, data) {
    // The status at a stream's start may be older than what was shown already.
    if (!id && !TERMINAL.has(data.state)) return this.state.textContent === "sending" ? this.#mark(data.state) : undefined;
    this.#mark(data.state);
    if (id && data.state !== "auth-required") this.open.querySelector(".approval")?.remove();
    if (data.error) this.result.replaceChildren(problem(data.error));
    else if (TERMINAL.has(data.state) && data.message && !this.result.hasChildNodes()) this.result.replaceChildren(message(data.message));
    if (TERMINAL.has(data.state) && data.receipt_id) this.#showReceipt(data.receipt_id);
    if (data.state === "failed") this.#showLog();
    return undefined;
  }

  // What the run wrote: a failure's traceback is there, and not in what its caller is told.
  async #showLog() {
    try {
      const { lines } = await this.api.json(`/api/v1/runs/${encodeURIComponent(this.call.run)}/logs`);
      if (!lines.length) return;
      const text = lines.slice(-60).map((each) => each.line).join("\n");
      this.result.append(h("div", { class: "own-log" }, h("h4", {}, "Log of this run"), copyable(h("pre", { class: "code text", tabindex: "0" }, h("code", {}, text)), text)));
    } catch (error) {
      this.now.textContent = error.message;
    }
  }

  #showReceipt(id) {
    const place = h("div");
    const details = h("details", {}, h("summary", {}, "Receipt ", h("code", { class: "quiet" }, `${id.slice(0, 21)}…`)), place);
    details.addEventListener("toggle", async () => {
      if (!details.open || place.hasChildNodes()) return;
      try {
        const body = await this.api.json(`${this.call.base}/runs/${encodeURIComponent(this.call.run)}/receipt`);
        const signed = body.body ?? {};
        place.replaceChildren(
          h("p", { class: "hint" }, `${signed.status ?? ""} · ${signed.agent?.id ?? ""} ${signed.agent?.version ?? ""} · log index ${body.log?.index ?? "?"} · signed by ${(signed.issuer_kid ?? "").slice(0, 12)}…`),
          copyable(json(body), JSON.stringify(body)));
      } catch (error) {
        place.replaceChildren(problem(error.problem ?? { detail: error.message }));
      }
    });
    this.receipt.replaceChildren(details);
  }

  #note(id, kind, data) {
    this.count += 1;
    this.logTitle.textContent = `Events (${this.count})`;
    if (this.count > 2000) return;
    const at = Math.round(performance.now() - this.began);
    const brief = JSON.stringify(data);
    this.log.append(h("li", {}, h("span", { class: "quiet at" }, `+${at} ms`), h("code", { class: "kind" }, kind), h("code", { class: "brief", title: id }, brief.length > BRIEF ? `${brief.slice(0, BRIEF)}…` : brief)));
  }
}
