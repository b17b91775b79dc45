"""The released program, literally: both halves with the reference, every row, every module it runs, and no more speed
than that gives. Networks are diffusers' and transformers' where these have them. The exported graphs are proven against
what stands here."""
