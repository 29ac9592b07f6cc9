using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Slipstream.Conformance.Real;

/// <summary>Reads the llama2.c formats: the older checkpoint layout and the tokenizer. Enough to bring stories260K before the engine.</summary>
internal static class Llama2C
{
    /// <summary>Writes a Hugging Face folder with the checkpoint's weights; query and key rows go from neighbours to halves.</summary>
    public static void Convert(string checkpoint, string folder)
    {
        byte[] file = File.ReadAllBytes(checkpoint);
        int[] header = MemoryMarshal.Cast<byte, int>(file.AsSpan(0, 28)).ToArray();
        (int dim, int hidden, int layers, int heads, int kvHeads, int vocabulary, int context) = (header[0], header[1], header[2], header[3], header[4], header[5], header[6]);
        int at = 28, headSize = dim / heads, kv = kvHeads * headSize;
        Assert.True(vocabulary > 0, "The checkpoint has a head of its own, which this reader does not know.");
        float[] Take(int count)
        {
            float[] values = MemoryMarshal.Cast<byte, float>(file.AsSpan(at, 4 * count)).ToArray();
            at += 4 * count;
            return values;
        }
        Dictionary<string, (int[] Shape, float[] Data)> tensors = [];
        void Layers(string name, bool norm, int rows, int columns, bool rotary = false)
        {
            for (int layer = 0; layer < layers; layer++)
            {
                float[] values = Take(rows * columns);
                tensors[$"model.layers.{layer}.{name}.weight"] = norm ? ([columns], values) : ([rows, columns], rotary ? Halves(values, columns, headSize) : values);
            }
        }
        tensors["model.embed_tokens.weight"] = ([vocabulary, dim], Take(vocabulary * dim));
        Layers("input_layernorm", true, 1, dim);
        Layers("self_attn.q_proj", false, dim, dim, rotary: true);
        Layers("self_attn.k_proj", false, kv, dim, rotary: true);
        Layers("self_attn.v_proj", false, kv, dim);
        Layers("self_attn.o_proj", false, dim, dim);
        Layers("post_attention_layernorm", true, 1, dim);
        Layers("mlp.gate_proj", false, hidden, dim);
        Layers("mlp.down_proj", false, dim, hidden);
        Layers("mlp.up_proj", false, hidden, dim);
        tensors["model.norm.weight"] = ([dim], Take(dim));
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), JsonSerializer.Serialize(new
        {
            model_type = "llama", vocab_size = vocabulary, hidden_size = dim, intermediate_size = hidden, num_hidden_layers = layers, num_attention_heads = heads,
            num_key_value_heads = kvHeads, max_position_embeddings = context, rms_norm_eps = 1e-5, rope_theta = 10000.0, hidden_act = "silu", tie_word_embeddings = true,
        }));
        WriteSafetensors(Path.Combine(folder, "model.safetensors"), tensors);
    }

    /// <summary>The tokenizer: pairs merge by the best score.</summary>
    public static int[] Encode(string tokenizer, int vocabulary, string text)
    {
        byte[] file = File.ReadAllBytes(tokenizer);
        Dictionary<string, int> ids = [];
        float[] scores = new float[vocabulary];
        int at = 4;
        for (int id = 0; id < vocabulary; id++)
        {
            scores[id] = BinaryPrimitives.ReadSingleLittleEndian(file.AsSpan(at));
            int length = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(at + 4));
            ids.TryAdd(Encoding.UTF8.GetString(file, at + 8, length), id);
            at += 8 + length;
        }
        Assert.All(ids.Keys, token => Assert.True(token.LastIndexOf(' ') <= 0, "A token has a space inside, so words cannot be merged alone."));
        string[] spelling = new string[vocabulary];
        foreach ((string token, int id) in ids) spelling[id] = token;
        List<int> all = [];
        string prefixed = " " + text;
        for (int from = 0; from < prefixed.Length;)
        {
            int next = prefixed.IndexOf(' ', from + 1), to = next < 0 ? prefixed.Length : next;
            all.AddRange(Word(prefixed[from..to]));
            from = to;
        }
        return [.. all];

        List<int> Word(string word)
        {
            List<int> tokens = [];
            foreach (Rune rune in word.EnumerateRunes())
                if (ids.TryGetValue(rune.ToString(), out int id)) tokens.Add(id);
                else tokens.AddRange(Encoding.UTF8.GetBytes(rune.ToString()).Select(b => b + 3));
            while (true)
            {
                (float best, int index, int merged) = (float.NegativeInfinity, -1, -1);
                for (int i = 0; i + 1 < tokens.Count; i++)
                    if (spelling[tokens[i]] is { } a && spelling[tokens[i + 1]] is { } b && ids.TryGetValue(a + b, out int id) && scores[id] > best) (best, index, merged) = (scores[id], i, id);
                if (index < 0) return tokens;
                tokens[index] = merged;
                tokens.RemoveAt(index + 1);
            }
        }
    }

    private static float[] Halves(float[] rows, int columns, int headSize)
    {
        float[] moved = new float[rows.Length];
        for (int row = 0; row < rows.Length / columns; row++)
        {
            int head = row / headSize, inHead = row % headSize, target = head * headSize + inHead / 2 + inHead % 2 * (headSize / 2);
            rows.AsSpan(row * columns, columns).CopyTo(moved.AsSpan(target * columns));
        }
        return moved;
    }

    private static void WriteSafetensors(string path, Dictionary<string, (int[] Shape, float[] Data)> tensors)
    {
        long offset = 0;
        Dictionary<string, object> header = [];
        foreach ((string name, (int[] shape, float[] data)) in tensors)
        {
            header[name] = new { dtype = "F32", shape, data_offsets = new[] { offset, offset + 4L * data.Length } };
            offset += 4L * data.Length;
        }
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(header);
        using FileStream stream = File.Create(path);
        stream.Write(BitConverter.GetBytes((ulong)json.Length));
        stream.Write(json);
        foreach ((_, (_, float[] data)) in tensors) stream.Write(MemoryMarshal.AsBytes(data.AsSpan()));
    }
}
