"""A real llama.cpp server on loopback: `serve_llama.py MODEL.gguf PORT`; runs until it is ended.

One slot, one thread, no reuse of earlier prompts: the same request gets the same text, and a request that nobody cancelled
keeps the next one waiting.
"""

import signal
import sys

import xllamacpp


def main(model, port):
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"aiproxy-test"}
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = 4096
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.fit_params = False
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.cache_prompt = False
    params.endpoint_slots = True
    params.ui = False
    # Lives as long as this name does.
    server = xllamacpp.Server(params)
    print(f"listening on {server.listening_address}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        signal.pause()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: serve_llama.py MODEL.gguf PORT")
    main(*sys.argv[1:])
