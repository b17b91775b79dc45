"""Live over the network: one WebSocket a session for control and lifetime, pictures and sound on it or by WebRTC.

`protocol` is what is said, `tickets` who may say it, `sessions` which sessions there are. `channel` is one session
between a network and an engine; `feeding` and `pulling` are its two threads, `outbox`, `sound`, `pace` and `watch` what
it decides with. `websocket`, `webrtc` and `whip` are ways to it, and `router` mounts them.
"""
