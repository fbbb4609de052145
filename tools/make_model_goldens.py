#!/usr/bin/env python3
"""Makes tests/golden/models: tiny random models as GGUF files (F32) with what transformers computes for them: the
logits, the mean cross-entropy of every next token, and its gradient with respect to every weight.

  pip install torch==2.13.0 transformers==4.57.6 gguf
  python tools/make_model_goldens.py [--check-llama-cpp]

The conversion follows llama.cpp's convert_hf_to_gguf.py: llama's q and k rows are permuted to the interleaved RoPE order,
gemma3's norm weights are stored with their 1 added, llama 3's RoPE scaling becomes the tensor rope_freqs.weight.
"""
import argparse, json, math, pathlib
import gguf, numpy as np, torch
from transformers import (Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM)

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/models"
TOKENS = 40
VOCABULARY = 272


def models():
    common = dict(vocab_size=VOCABULARY, max_position_embeddings=128, attn_implementation="eager")
    llama3_scaling = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
                          original_max_position_embeddings=32)
    yield "llama", LlamaForCausalLM(LlamaConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False, **common))
    yield "llama-rope-scaled", LlamaForCausalLM(LlamaConfig(
        hidden_size=96, intermediate_size=64, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3,
        rms_norm_eps=1e-6, rope_theta=500000.0, rope_scaling=llama3_scaling, tie_word_embeddings=True, **common))
    yield "qwen2", Qwen2ForCausalLM(Qwen2Config(
        hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        rms_norm_eps=1e-6, rope_theta=1000000.0, tie_word_embeddings=True, **common))
    yield "gemma3", Gemma3ForCausalLM(Gemma3TextConfig(
        hidden_size=48, intermediate_size=64, num_hidden_layers=7, num_attention_heads=3, num_key_value_heads=1, head_dim=32,
        query_pre_attn_scalar=32, sliding_window=8, rope_theta=1000000.0, rope_local_base_freq=10000.0, rms_norm_eps=1e-6,
        **common))
    yield "qwen3", Qwen3ForCausalLM(Qwen3Config(
        hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
        rms_norm_eps=1e-6, rope_theta=1000000.0, tie_word_embeddings=True, **common))


def shake(model):
    """Random weights everywhere, norms and biases too, so that a forgotten one shows."""
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if "norm" in name:
                base = 0.0 if "Gemma" in type(model).__name__ else 1.0
                parameter.copy_(base + 0.3 * torch.randn_like(parameter))
            elif name.endswith("bias"):
                parameter.copy_(0.3 * torch.randn_like(parameter))
            else:
                parameter.copy_(torch.randn_like(parameter) * (1.0 if "embed" in name else 1.3 / math.sqrt(parameter.shape[1])))


def interleaved(weight, heads):
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def to_gguf(key, value, architecture, names, config):
    """The GGUF name and layout of a parameter or of its gradient; no name where the file has none."""
    if key == "model.embed_tokens.weight":
        return "token_embd.weight", value
    if key == "model.norm.weight":
        return "output_norm.weight", value
    if key == "lm_head.weight":
        return (None if config.tie_word_embeddings else "output.weight"), value
    _, _, layer, rest = key.split(".", 3)
    stem, suffix = rest.rsplit(".", 1)
    if architecture == "llama" and stem.endswith(("q_proj", "k_proj")):
        value = interleaved(value, config.num_attention_heads if stem.endswith("q_proj") else config.num_key_value_heads)
    return f"blk.{layer}.{names[stem]}.{suffix}", value


def write(name, model):
    config, architecture = model.config, name.split("-")[0]
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    w = gguf.GGUFWriter(str(OUT / f"{name}.gguf"), architecture)
    w.add_name(f"tiny random {name}")
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_rope_freq_base(config.rope_theta)
    w.add_vocab_size(VOCABULARY)
    if architecture == "gemma3":
        w.add_key_length(head_dim)
        w.add_value_length(head_dim)
        w.add_sliding_window(config.sliding_window)
    if architecture == "qwen3":
        w.add_key_length(head_dim)
        w.add_value_length(head_dim)
    if architecture == "llama":
        w.add_rope_dimension_count(head_dim)
    # A byte-level vocabulary: the 256 bytes in GPT-2's printable form, then specials.
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    others = [b for b in range(256) if b not in printable]
    table = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
    tokens = [table[b] for b in range(256)] + [f"<|special_{i}|>" for i in range(VOCABULARY - 256)]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([1] * 256 + [3] * (VOCABULARY - 256))
    w.add_token_merges([f"{table[97]} {table[98]}"])
    w.add_bos_token_id(256)
    w.add_eos_token_id(257)
    if (getattr(config, "rope_scaling", None) or {}).get("rope_type") == "llama3":
        s, factors = config.rope_scaling, []
        low, high = s["original_max_position_embeddings"] / s["low_freq_factor"], s["original_max_position_embeddings"] / s["high_freq_factor"]
        for i in range(0, head_dim, 2):
            wavelength = 2 * math.pi * config.rope_theta ** (i / head_dim)
            if wavelength < high:
                factors.append(1.0)
            elif wavelength > low:
                factors.append(s["factor"])
            else:
                smooth = (s["original_max_position_embeddings"] / wavelength - s["low_freq_factor"]) / (s["high_freq_factor"] - s["low_freq_factor"])
                factors.append(1 / ((1 - smooth) / s["factor"] + smooth))
        w.add_tensor("rope_freqs.weight", np.array(factors, dtype=np.float32))
    gradients = []  # in the file's order of tensors
    names = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
             "post_attention_layernorm": "post_attention_norm" if architecture == "gemma3" else "ffn_norm",
             "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
    for key, value in model.state_dict().items():
        target, value = to_gguf(key, value.numpy().astype(np.float32), architecture, names, config)
        if target is None:
            continue
        if architecture == "gemma3" and "norm" in key:
            value = value + 1
        w.add_tensor(target, np.ascontiguousarray(value))
        gradient = dict(model.named_parameters())[key].grad
        gradients.append(np.ascontiguousarray(to_gguf(key, gradient.numpy(), architecture, names, config)[1]).astype("<f4").ravel())
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    np.concatenate(gradients).tofile(OUT / f"{name}.gradients.f32")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--check-llama-cpp", action="store_true", help="also compare llama.cpp's logits, to prove the conversion")
    a = ap.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    for seed, (name, model) in enumerate(models()):
        torch.manual_seed(seed)
        model = model.float().eval()
        shake(model)
        ids = torch.randint(0, VOCABULARY, (1, TOKENS))
        out = model(ids, labels=ids)
        out.loss.backward()
        logits = out.logits[0].detach().numpy()
        (OUT / f"{name}.loss.json").write_text(json.dumps(out.loss.item()) + "\n")
        write(name, model)
        (OUT / f"{name}.ids.json").write_text(json.dumps(ids[0].tolist()) + "\n")
        logits.astype("<f4").tofile(OUT / f"{name}.logits.f32")
        print(name, "logits", logits.shape, "spread", float(logits.std()))
        if a.check_llama_cpp:
            import llama_cpp
            llm = llama_cpp.Llama(str(OUT / f"{name}.gguf"), n_ctx=TOKENS, logits_all=True, verbose=False, type_k=0, type_v=0)
            llm.eval(ids[0].tolist())
            theirs = np.array(llm.scores[:TOKENS])
            print("  llama.cpp differs by", float(np.abs(theirs - logits).max()))


if __name__ == "__main__":
    main()
