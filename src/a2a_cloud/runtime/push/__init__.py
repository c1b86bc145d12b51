"""Push notifications (A2A 1.0, sections 3.1.7 to 3.1.10 and 4.3): a task's events, posted to who asked."""
