"""Cases that any A2A server can be asked to pass: `a2a conformance URL` (docs/conformance.md).

They know A2A 1.0 and nothing of this platform. What an agent has to do for a case (ask, refuse, stream) is
asked for by how the messageId begins, as public kits do; an agent that behaves otherwise has it skipped.
"""
