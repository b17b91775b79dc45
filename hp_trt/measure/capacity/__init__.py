"""How many devices a service needs, on paper: queues of clips, places for live sessions, what a minute costs."""
