"""The command `mercato`: what a shopkeeper types and reads (extra `cli`).

It calls shops over gRPC. Programs on the host of a shop add commands by the entry points `mercato.commands`.
"""
