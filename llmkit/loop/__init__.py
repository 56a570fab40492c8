"""
The loop of a model and its tools, as values and state machines.

Rule 1: a run is asked what comes next and told what came; nothing here sends, waits, starts a thread or knows whether it is awaited.
Rule 2: in a transcript each call of a tool has its result, whatever ended the run, so that every provider takes it and it can be gone on
        with anywhere.
Rule 3: what a model does wrong is said to the model; what the caller did wrong is raised before anything is sent.
"""
