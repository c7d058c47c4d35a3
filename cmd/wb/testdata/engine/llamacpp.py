"""Serves a model with llama.cpp's HTTP server, from the xllamacpp package. usage: llamacpp.py MODEL.gguf PORT"""
import signal, sys, threading

import xllamacpp

p = xllamacpp.CommonParams()
p.model.path = sys.argv[1]
p.hostnames, p.port = ["127.0.0.1"], int(sys.argv[2])
p.n_ctx, p.n_parallel = 4096, 1
p.cpuparams.n_threads = 1  # two threads on two cores would leave none for wb
p.endpoint_metrics = p.endpoint_slots = p.use_jinja = True
server = xllamacpp.Server(p)
print("listening on", server.listening_address, flush=True)
stop = threading.Event()
for s in (signal.SIGTERM, signal.SIGINT):
    signal.signal(s, lambda *_: stop.set())
stop.wait()
