"""The benchmark (`make bench`): see docs/benchmarks.md for what is measured and why it is fair."""
