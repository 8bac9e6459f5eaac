TABLE = {"a": 1}
FIRST = TABLE["b"]
