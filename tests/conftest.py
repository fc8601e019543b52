"""Property tests draw the same examples every time: a failure here is a failure on every machine."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "lull",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("lull")
