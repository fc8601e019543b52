"""Open-loop load for model servers: `python -m loadgen PLAN.json`, or the plan itself in LOADGEN_PLAN."""
