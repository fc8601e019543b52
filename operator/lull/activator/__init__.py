"""The activator: answers for a model that sleeps, holds what asks for it and passes it on once it is awake."""
