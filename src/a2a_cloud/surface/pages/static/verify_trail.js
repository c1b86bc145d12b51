// The list of steps that a check leaves behind: what held, what did not and where, what could not be checked
// and why.

import { Refused, hex, sha256, unhex } from "./verify_bytes.js";

// A step does not hold: why, and where.
export function refuse(why, at = "") {
  const refusal = new Refused(why);
  refusal.at = at;
  throw refusal;
}

// The steps of one document, and what its reader should know besides.
export class Trail {
  constructor() {
    this.steps = [];
    this.notes = [];
  }

  ok(name, why = "") {
    this.steps.push({ name, state: "ok", why, at: "" });
  }

  unchecked(name, why) {
    this.steps.push({ name, state: "unchecked", why, at: "" });
  }

  failed(name, error) {
    if (!(error instanceof Refused)) throw error;
    this.steps.push({ name, state: "failed", why: error.message, at: error.at ?? "" });
  }

  // Runs a check that leaves its own step; what it refuses fails the step.
  async step(name, check) {
    try {
      await check();
    } catch (error) {
      this.failed(name, error);
    }
  }

  get failure() {
    return this.steps.find(({ state }) => state === "failed");
  }
}

// SHA-256(salt ‖ bytes) in hex, the salt in hex too.
export const salted = async (salt, bytes) => hex(await sha256(unhex(salt), bytes));

export const many = (count, one, several = `${one}s`) => `${count} ${count === 1 ? one : several}`;
