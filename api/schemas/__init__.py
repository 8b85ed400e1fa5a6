"""The shapes of requests and answers, a module for each room of the API. Every model refuses unknown fields;
all errors come at once.
"""
