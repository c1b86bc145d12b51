"""Evals: releases put to rubrics, scored, on record (docs/evals.md)."""
