"""A model server without a model: `python -m standin`, set by LOAD_S, WORK_MS, SLOTS and MODEL."""
