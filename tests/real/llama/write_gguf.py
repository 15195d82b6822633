"""Write a llama model of random weights and under 1 MB as a GGUF file: `write_gguf.py FILE`.

It talks nonsense, but it is a real model to a real llama.cpp: a tokenizer, a chat template, attention, sampling. Weights
come from a fixed seed, so that the same file comes out everywhere.

The vocabulary is a SentencePiece one: the 256 byte tokens that its tokenizer needs for unknown characters, then printable
ASCII, words, and some characters of two to four bytes. Byte tokens and control tokens must not be sampled (half a character
is no text, and an early end makes answers of no use). A llama layer has no bias, so we make one: dimension 0 of the hidden
state is the same positive number everywhere (no layer writes to it), and its output weight is the token's bias. A grammar that
allows only the end still reaches it, since it masks all the others.
"""

import sys

import gguf
import numpy as np

EMBEDDING, HEADS, FEED_FORWARD, LAYERS, CONTEXT = 64, 4, 128, 2, 4096
NEVER = -1000.0
# Where a call begins, by the template. It is likely, so that a model that may call a tool soon does.
CALL = "→"
# llama.cpp's grammar allows a JSON answer inside a Markdown fence; the checks want it bare.
BIAS = {"`": NEVER, CALL: 8.0}
WORDS = (
    "the a of and to in is was it for on with as at by from that this not are be or an one all two will can more when "
    "there time out up about what so who which their if other into no do these than then now only some could new over "
    "first also after back way down should because long each just state people too same work life never day world still "
    "between last under might while great where through own found water light river stone bird night morning story"
).split()
WIDE = "éüñßçøåžłğ€→∞≈中文字日本語한국어🙂🚀🌍"

# No control tokens: llama.cpp puts the prompt's end into the grammar of a JSON schema, as text.
TEMPLATE = (
    "{% if tools %}tools: {{ tools | tojson }}\n\n{% endif %}"
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] if m['content'] else '' }}"
    # One call at most: llama.cpp finds out that there are no parallel ones, and its grammar ends after the first.
    "{% if m['tool_calls'] %}{% set call = m['tool_calls'][0]['function'] %}" + CALL + "{\"name\": \"{{ call['name'] }}\", "
    "\"arguments\": {{ call['arguments'] | tojson }}}</call>{% endif %}\n\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def vocabulary():
    """Tokens, scores, types and output biases, by token id."""
    kind = gguf.TokenType
    rows = [("<unk>", 0.0, kind.UNKNOWN, NEVER), ("<s>", 0.0, kind.CONTROL, NEVER), ("</s>", 0.0, kind.CONTROL, NEVER)]
    rows += [(f"<0x{byte:02X}>", 0.0, kind.BYTE, NEVER) for byte in range(256)]
    seen = set()
    # Words first: a higher score wins when the tokenizer merges.
    for text in [f"▁{word}" for word in WORDS] + ["▁"] + [chr(c) for c in range(0x21, 0x7F)] + list(WIDE):
        if text not in seen:
            seen.add(text)
            rows.append((text, -float(len(seen)), kind.NORMAL, BIAS.get(text, 2.0 if text.startswith("▁") else 0.0)))
    return rows


def write(path):
    rows = vocabulary()
    random = np.random.default_rng(20260131)

    def weights(*shape, scale=1.0):
        return (random.standard_normal(shape) * scale / np.sqrt(shape[-1])).astype(np.float32)

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("aiproxy-test")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(EMBEDDING // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(rows))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([row[0] for row in rows])
    writer.add_token_scores([row[1] for row in rows])
    writer.add_token_types([int(row[2]) for row in rows])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)

    embedding = weights(len(rows), EMBEDDING, scale=8.0)
    embedding[:, 0] = 4.0
    writer.add_tensor("token_embd.weight", embedding)
    for layer in range(LAYERS):
        name = f"blk.{layer}"
        writer.add_tensor(f"{name}.attn_norm.weight", np.ones(EMBEDDING, np.float32))
        writer.add_tensor(f"{name}.ffn_norm.weight", np.ones(EMBEDDING, np.float32))
        for matrix in ("attn_q", "attn_k", "attn_v"):
            writer.add_tensor(f"{name}.{matrix}.weight", weights(EMBEDDING, EMBEDDING, scale=2.0))
        writer.add_tensor(f"{name}.ffn_gate.weight", weights(FEED_FORWARD, EMBEDDING, scale=2.0))
        writer.add_tensor(f"{name}.ffn_up.weight", weights(FEED_FORWARD, EMBEDDING, scale=2.0))
        for matrix, width in (("attn_output", EMBEDDING), ("ffn_down", FEED_FORWARD)):
            out = weights(EMBEDDING, width, scale=2.0)
            out[0, :] = 0.0  # no layer writes to dimension 0
            writer.add_tensor(f"{name}.{matrix}.weight", out)
    writer.add_tensor("output_norm.weight", np.ones(EMBEDDING, np.float32))
    output = weights(len(rows), EMBEDDING, scale=4.0)
    output[:, 0] = [row[3] for row in rows]
    writer.add_tensor("output.weight", output)

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: write_gguf.py FILE")
    write(sys.argv[1])
