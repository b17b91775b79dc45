"""What `runtime.bench` is made of. It stands on top like every command: it may import anything, the loop never it."""
