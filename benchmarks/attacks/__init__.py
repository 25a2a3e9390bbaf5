"""The attack day: real tools in network namespaces, each recorded, with what an operator should be told of it."""
