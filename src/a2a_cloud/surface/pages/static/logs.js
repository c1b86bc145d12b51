// What the agent's workers wrote, as it comes.

import { h } from "./dom.js";

const MOST = 2000;
const PAUSE = 800;

export class Logs {
  constructor(api, place) {
    this.api = api;
    this.agent = "";
    this.after = 0;
    this.shown = false;
    this.lines = h("ol", { class: "lines", tabindex: "0", "aria-label": "Log lines" });
    this.why = h("p", { class: "quiet", role: "status" }, "Nothing was logged yet.");
    this.level = h("select", { "aria-label": "Level", onchange: () => this.#filter() },
      ["all lines", "warnings and errors", "errors"].map((name, n) => h("option", { value: String(n) }, name)));
    place.append(h("div", { class: "tools" }, this.level, h("button", { type: "button", class: "small", onclick: () => this.lines.replaceChildren() }, "Clear")), this.why, this.lines);
    this.#poll();
  }

  of(agent) {
    if (agent === this.agent) return;
    this.agent = agent;
    this.after = 0;
    this.lines.replaceChildren();
  }

  async #poll() {
    if (this.agent && this.shown && !document.hidden) {
      try {
        const { lines } = await this.api.json(`/api/v1/agents/${encodeURIComponent(this.agent)}/logs?release=all&after=${this.after}`);
        this.#add(lines);
      } catch (error) {
        this.why.textContent = error.message;
      }
    }
    setTimeout(() => this.#poll(), PAUSE);
  }

  #add(lines) {
    const fresh = lines.filter((line) => line.no > this.after);
    if (!fresh.length) return;
    this.why.textContent = "";
    const list = this.lines;
    const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 30;
    for (const line of fresh) {
      const level = line.level || (line.source === "stderr" ? "warning" : "info");
      list.append(h("li", { "data-level": level, title: line.run_id || null },
        h("time", { class: "quiet" }, String(line.at).slice(11, 23)), " ",
        h("span", { class: "kind" }, line.level || line.source), " ", line.line));
    }
    while (list.children.length > MOST) list.firstChild.remove();
    this.after = Math.max(...fresh.map((line) => line.no), this.after);
    if (atEnd) list.scrollTop = list.scrollHeight;
  }

  #filter() {
    this.lines.dataset.from = this.level.value;
  }
}
