"""HighLevel's API as values: no file here opens a socket.

`requests.py` turns questions into HTTP requests. `responses.py` decides what a response means. `contact.py` and `message.py`
read payloads. `engine/client.py` sends the requests.
"""
