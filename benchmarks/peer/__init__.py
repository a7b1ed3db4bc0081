"""The peer that `make bench` compares with: the hot half of the shop as a good team would write it with FastAPI and SQLAlchemy.

It works on the tables of this repository's migrations, keeps the promises that Mercato keeps, and answers with the same JSON. It shares no
code with the server, and the server none with it.
"""
