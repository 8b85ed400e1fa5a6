"""A send, an event in and a webhook out per email, for as long as one likes: `mailmux bench sustained`."""
