using System.Runtime.InteropServices;
using Slipstream.Distillation.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Slipstream.Distillation.Torch;

/// <summary>A Llama-family decoder that can be trained: token ids int64 <c>[batch, length]</c> to logits float32 <c>[batch, length, head rows]</c>.</summary>
/// <remarks>
/// Sources: arXiv:2302.13971 (the model), 1910.07467 (RMSNorm), 2104.09864 (rotary positions, halves paired as in transformers), 2305.13245
/// (grouped heads), 2002.05202 (SwiGLU). All weights lie in one tensor, matrices first, so that the optimiser walks over memory once; the query, key and
/// value weights are one matrix, and so are gate and up. Files keep them apart: see <see cref="TorchCheckpoint"/>.
/// </remarks>
internal sealed class TorchLlama : nn.Module<Tensor, Tensor>
{
    private readonly Layer[] _layers;
    private readonly Parameter _embedding, _head, _norm;
    private readonly Embedding _lookUp;
    private Tensor _cos, _sin;
    private readonly Tensor? _rowOf;
    private Tensor? _mask;

    /// <summary>Makes the model with random weights: normal with deviation 0.02, those that write to the residual stream divided by √(2 · layers).</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="seed">The seed of the weights.</param>
    public TorchLlama(LlamaShape shape, ulong seed = 1) : base(nameof(TorchLlama))
    {
        Shape = shape.Checked();
        Flat = zeros(shape.Parameters, dtype: ScalarType.Float32).DetachFromDisposeScope();
        Gradient = zeros(shape.Parameters, dtype: ScalarType.Float32).DetachFromDisposeScope();
        long next = 0;
        List<(Parameter Parameter, long Begin)> all = [];
        int h = shape.Hidden;
        _embedding = Add("embedding", shape.Vocabulary, h);
        // Its backward pass adds up the rows of a token in the order of the batch, whatever the number of threads.
        _lookUp = nn.Embedding(1, h);
        _lookUp.weight = _embedding;
        _head = shape.TiedHead ? _embedding : Add("head", shape.HeadRows, h);
        (Parameter Qkv, Parameter Output, Parameter GateUp, Parameter Down)[] matrices = new (Parameter, Parameter, Parameter, Parameter)[shape.Layers];
        for (int i = 0; i < shape.Layers; i++)
            matrices[i] = (Add($"layer{i}_qkv", shape.QkvRows, h), Add($"layer{i}_output", h, shape.Heads * shape.HeadSize), Add($"layer{i}_gate_up", 2 * shape.Intermediate, h), Add($"layer{i}_down", h, shape.Intermediate));
        MatrixElements = next;
        _layers = new Layer[shape.Layers];
        for (int i = 0; i < shape.Layers; i++)
            _layers[i] = new Layer(Add($"layer{i}_input_norm", h), matrices[i].Qkv, matrices[i].Output, Add($"layer{i}_feed_forward_norm", h), matrices[i].GateUp, matrices[i].Down);
        _norm = Add("norm", h);
        // From here on the gradients of all parameters add up in one tensor.
        foreach ((Parameter parameter, long begin) in all)
            parameter.grad = Gradient.narrow(0, begin, parameter.numel()).view(parameter.shape).DetachFromDisposeScope();
        (_cos, _sin) = Rotary(256);
        _rowOf = shape.OutputTokens.IsEmpty ? null : tensor(RowOf(shape)).DetachFromDisposeScope();
        Initialize(seed);

        Parameter Add(string name, params long[] dimensions)
        {
            long count = dimensions.Aggregate(1L, (product, dimension) => product * dimension);
            Parameter parameter = new(Flat.narrow(0, next, count).view(dimensions).DetachFromDisposeScope());
            register_parameter(name, parameter);
            all.Add((parameter, next));
            next += count;
            return parameter;
        }
    }

    /// <summary>The sizes.</summary>
    public LlamaShape Shape { get; }

    /// <summary>Whether linears and attention run in bfloat16; norms, the residual stream and the logits stay float32.</summary>
    public bool Bfloat16 { get; set; }

    /// <summary>All weights, float32; the parameters are views of it.</summary>
    public Tensor Flat { get; }

    /// <summary>The gradients of <see cref="Flat"/>: backward passes add to it.</summary>
    public Tensor Gradient { get; }

    /// <summary>How many numbers of <see cref="Flat"/>, from the first, belong to matrices; the rest are norms.</summary>
    public long MatrixElements { get; }

    /// <summary>The weights as memory.</summary>
    public Span<float> Weights => MemoryMarshal.Cast<byte, float>(Flat.bytes);

    /// <summary>The weights by their names in a Hugging Face checkpoint: views.</summary>
    public IEnumerable<(string Name, Tensor Value)> NamedWeights()
    {
        LlamaShape s = Shape;
        long query = s.Heads * s.HeadSize, keys = s.KvHeads * s.HeadSize;
        yield return ("model.embed_tokens.weight", _embedding);
        for (int i = 0; i < _layers.Length; i++)
        {
            Layer layer = _layers[i];
            string prefix = $"model.layers.{i}.";
            yield return (prefix + "input_layernorm.weight", layer.InputNorm);
            yield return (prefix + "self_attn.q_proj.weight", layer.Qkv.narrow(0, 0, query));
            yield return (prefix + "self_attn.k_proj.weight", layer.Qkv.narrow(0, query, keys));
            yield return (prefix + "self_attn.v_proj.weight", layer.Qkv.narrow(0, query + keys, keys));
            yield return (prefix + "self_attn.o_proj.weight", layer.Output);
            yield return (prefix + "post_attention_layernorm.weight", layer.FeedForwardNorm);
            yield return (prefix + "mlp.gate_proj.weight", layer.GateUp.narrow(0, 0, s.Intermediate));
            yield return (prefix + "mlp.up_proj.weight", layer.GateUp.narrow(0, s.Intermediate, s.Intermediate));
            yield return (prefix + "mlp.down_proj.weight", layer.Down);
        }
        yield return ("model.norm.weight", _norm);
        if (!s.TiedHead) yield return ("lm_head.weight", _head);
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor input) => Head(Hidden(input));

    /// <summary>The states after the last norm, float32 <c>[batch, length, hidden]</c>.</summary>
    public Tensor Hidden(Tensor ids)
    {
        long batch = ids.shape[0], length = ids.shape[1];
        if (_cos.shape[0] < length) (_cos, _sin) = Rotary((int)length);
        Tensor cos = _cos.narrow(0, 0, length), sin = _sin.narrow(0, 0, length);
        Tensor x = _lookUp.forward(ids);
        foreach (Layer layer in _layers)
        {
            x = x + Attend(layer, Norm(x, layer.InputNorm), batch, length, cos, sin);
            Tensor gateUp = Linear(Norm(x, layer.FeedForwardNorm), layer.GateUp);
            Tensor gate = gateUp.narrow(-1, 0, Shape.Intermediate), up = gateUp.narrow(-1, Shape.Intermediate, Shape.Intermediate);
            x = x + Linear(nn.functional.silu(gate) * up, layer.Down);
        }
        return Norm(x, _norm);
    }

    /// <summary>The logits of states: float32, <c>[…, head rows]</c>.</summary>
    public Tensor Head(Tensor hidden) => Linear(hidden, _head).to(ScalarType.Float32);

    /// <summary>The rows of the head for tokens, int64 of any shape; <see cref="TrainingBatch.Ignored"/> where it has none and where that is given.</summary>
    public Tensor HeadRows(Tensor tokens) => _rowOf is null ? tokens : _rowOf.gather(0, tokens.clamp_min(0).reshape(-1)).view(tokens.shape).masked_fill(tokens.lt(0), TrainingBatch.Ignored);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Flat.Dispose();
            Gradient.Dispose();
            _cos.Dispose();
            _sin.Dispose();
            _mask?.Dispose();
            _rowOf?.Dispose();
        }
        base.Dispose(disposing);
    }

    private Tensor Attend(Layer layer, Tensor x, long batch, long length, Tensor cos, Tensor sin)
    {
        int heads = Shape.Heads, kv = Shape.KvHeads, size = Shape.HeadSize;
        Tensor qkv = Linear(x, layer.Qkv).view(batch, length, heads + 2 * kv, size);
        Tensor turned = Rotate(qkv.narrow(2, 0, heads + kv), cos, sin).transpose(1, 2);
        Tensor query = turned.narrow(1, 0, heads), key = turned.narrow(1, heads, kv), value = qkv.narrow(2, heads + kv, kv).transpose(1, 2);
        // The query heads of one key-value head are rows of one matrix: nothing is repeated.
        Tensor scores = matmul(query.reshape(batch, kv, heads / kv * length, size), key.transpose(2, 3)).view(batch, heads, length, length) * (1 / Math.Sqrt(size));
        Tensor shares = nn.functional.softmax(scores + Mask(length, scores.dtype), -1);
        Tensor attended = matmul(shares.view(batch, kv, heads / kv * length, length), value).view(batch, heads, length, size);
        return Linear(attended.transpose(1, 2).reshape(batch, length, heads * size), layer.Output);
    }

    // [length, length]: minus infinity where the key comes after the query. On processors this is faster than the fused kernel, and its backward pass is too.
    private Tensor Mask(long length, ScalarType type)
    {
        if (_mask is null || _mask.shape[0] != length || _mask.dtype != type)
        {
            _mask?.Dispose();
            using Tensor full = torch.full([length, length], float.NegativeInfinity, dtype: type);
            _mask = full.triu(1).DetachFromDisposeScope();
        }
        return _mask;
    }

    private static Tensor Rotate(Tensor x, Tensor cos, Tensor sin)
    {
        long half = x.shape[^1] / 2;
        Tensor first = x.narrow(-1, 0, half), second = x.narrow(-1, half, half);
        return cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype);
    }

    private Tensor Norm(Tensor x, Tensor weight) => x * (x.square().mean([-1], keepdim: true) + Shape.NormEpsilon).rsqrt() * weight;

    private Tensor Linear(Tensor x, Tensor weight) =>
        Bfloat16 ? nn.functional.linear(x.to(ScalarType.BFloat16), weight.to(ScalarType.BFloat16)) : nn.functional.linear(x, weight);

    // [length, 1, half]: one row a position, the same for all heads.
    private (Tensor Cos, Tensor Sin) Rotary(int length)
    {
        int half = Shape.HeadSize / 2;
        float[] cos = new float[length * half], sin = new float[length * half];
        for (int position = 0; position < length; position++)
            for (int i = 0; i < half; i++)
            {
                // The angle is rounded to float32 as the reference does.
                float frequency = (float)Math.Pow(Shape.RotaryBase, -2.0 * i / Shape.HeadSize);
                (double s, double c) = Math.SinCos(position * frequency);
                (cos[position * half + i], sin[position * half + i]) = ((float)c, (float)s);
            }
        return (tensor(cos, [length, 1, half]).DetachFromDisposeScope(), tensor(sin, [length, 1, half]).DetachFromDisposeScope());
    }

    private static long[] RowOf(LlamaShape shape)
    {
        long[] rows = new long[shape.Vocabulary];
        rows.AsSpan().Fill(TrainingBatch.Ignored);
        for (int row = 0; row < shape.OutputTokens.Length; row++) rows[shape.OutputTokens[row]] = row;
        return rows;
    }

    private void Initialize(ulong seed)
    {
        using IDisposable none = no_grad();
        using Generator generator = new(seed);
        double deviation = 0.02, residual = deviation / Math.Sqrt(2.0 * Shape.Layers);
        foreach ((string name, Parameter parameter) in named_parameters())
        {
            if (parameter.dim() == 1) parameter.fill_(1);
            else parameter.normal_(0, name.EndsWith("_output", StringComparison.Ordinal) || name.EndsWith("_down", StringComparison.Ordinal) ? residual : deviation, generator);
        }
    }

    private sealed record Layer(Parameter InputNorm, Parameter Qkv, Parameter Output, Parameter FeedForwardNorm, Parameter GateUp, Parameter Down);
}
