// Requests to the platform that served this page, with the key in the Authorization header alone.

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `HTTP ${status}`);
    this.status = status;
    this.problem = { code: `http_${status}`, detail: `HTTP ${status}`, remedy: "", ...problem };
  }
}

async function problemOf(answer) {
  let document = {};
  try {
    document = await answer.json();
  } catch {
    return {};
  }
  const a2a = document.error;
  if (a2a && typeof a2a === "object") {
    const info = (a2a.details ?? []).find((each) => each.reason) ?? {};
    return { code: (info.reason ?? "").toLowerCase(), detail: a2a.message, remedy: info.metadata?.remedy ?? "" };
  }
  return document;
}

export class Api {
  constructor(key) {
    this.key = key;
  }

  // The answer of 200 to 299. Throws Refused, or TypeError when nobody answers.
  async open(path, { method = "GET", headers = {}, body, signal } = {}) {
    const sent = { ...headers };
    if (this.key) sent.Authorization = `Bearer ${this.key}`;
    const answer = await fetch(path, { method, headers: sent, body, signal, cache: "no-store", redirect: "error" });
    if (!answer.ok) throw new Refused(answer.status, await problemOf(answer));
    return answer;
  }

  async json(path, options) {
    return (await this.open(path, options)).json();
  }
}
