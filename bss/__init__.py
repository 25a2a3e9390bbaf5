"""The business layer: customers, catalogue, orders, services and resources that traffic proves.

What one act needs is a Desk (desk.py); rows are in tables/; each domain is a folder of plain functions that take a desk. Traffic is asked for in evidence.py
alone. Ways in: api/ (REST), pages/ (server-rendered) and cli/, one file each for one thing.
"""
