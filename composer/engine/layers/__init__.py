"""The layers around a step: what each option of a node does, one module for each."""
