using Slipstream.Numerics;
using Slipstream.Sampling;
using Slipstream.Speculation;

namespace Slipstream.Tests.Speculation;

/// <summary>How siblings are drafted.</summary>
public enum Siblings
{
    /// <summary>Independent draws of the same q, repeats and all.</summary>
    Independent,

    /// <summary>Draws without replacement: each from q without the siblings before.</summary>
    Distinct,

    /// <summary>The best tokens of q, as point masses.</summary>
    Best,
}

/// <summary>A target and a draft model whose distributions depend on the last token alone: small enough to enumerate, different enough to matter.</summary>
internal sealed class SyntheticDecoding : IDisposable
{
    private readonly float[][] _p, _q;
    private readonly DraftTree _tree;
    private readonly float[] _target;
    private readonly int[] _accepted = new int[64], _output = new int[64];
    private int _root, _length;

    /// <summary>Makes two models from a seed; at closeness 0 they are unrelated, at 1 the same.</summary>
    public SyntheticDecoding(int vocabulary, int seed, double closeness = 0.5)
    {
        Vocabulary = vocabulary;
        Random random = new(seed);
        (_p, _q) = (new float[vocabulary + 1][], new float[vocabulary + 1][]);
        for (int i = 0; i <= vocabulary; i++)
        {
            double[] p = Weights(random, vocabulary), noise = Weights(random, vocabulary);
            _p[i] = Normalise(p);
            _q[i] = Normalise([.. p.Zip(noise, (a, b) => closeness * a + (1 - closeness) * b)]);
        }
        _tree = new DraftTree(vocabulary);
        _target = new float[64 * vocabulary];
        _root = vocabulary;
    }

    public int Vocabulary { get; }

    public int Accepted { get; private set; }

    public int Evaluated { get; private set; }

    public DraftTree Tree => _tree;

    /// <summary>The target's distribution after a token; −1: at the beginning.</summary>
    public float[] P(int after) => _p[after < 0 ? Vocabulary : after];

    public float[] Q(int after) => _q[after < 0 ? Vocabulary : after];

    /// <summary>Makes every distribution of the target a point mass on its best token.</summary>
    public void MakeGreedy()
    {
        foreach (float[] p in _p)
        {
            int best = Array.IndexOf(p, p.Max());
            Array.Clear(p);
            p[best] = 1;
        }
    }

    /// <summary>
    /// Decodes at least <paramref name="count"/> tokens from position <paramref name="position"/>. The widths are the siblings under each node, by
    /// depth; none at all is plain decoding.
    /// </summary>
    public ReadOnlySpan<int> Decode(IVerifier verifier, int[] widths, Siblings siblings, in TokenRandom random, int count, int position = 10)
    {
        (_root, _length) = (-1, 0);
        while (_length < count)
        {
            _tree.Clear();
            Expand(verifier, widths, 0, -1, _root, siblings, random, position + _length);
            Step(verifier, random, position + _length);
        }
        return _output.AsSpan(0, _length);
    }

    /// <summary>Verifies the tree as it stands and appends the tokens.</summary>
    public void Step(IVerifier verifier, in TokenRandom random, int position)
    {
        Matrix target = new(_target, _tree.Count + 1, Vocabulary);
        P(_root).CopyTo(target[0]);
        for (int node = 0; node < _tree.Count; node++) P(_tree.Token(node)).CopyTo(target[node + 1]);
        int token = verifier.Verify(_tree, target, random, position, _accepted, out int accepted, out int evaluated);
        for (int i = 0; i < accepted; i++)
        {
            Assert.Equal(i == 0 ? -1 : _accepted[i - 1], _tree.Parent(_accepted[i]));
            _output[_length++] = _tree.Token(_accepted[i]);
        }
        _output[_length++] = _root = token;
        (Accepted, Evaluated) = (accepted, evaluated);
    }

    /// <summary>Fills the tree with any tokens at all, proposals and point masses mixed, whatever the models say.</summary>
    public ReadOnlySpan<int> DecodeWithAnyTree(IVerifier verifier, Random shape, in TokenRandom random, int count, int position = 10)
    {
        (_root, _length) = (-1, 0);
        while (_length < count)
        {
            _tree.Clear();
            int nodes = shape.Next(12);
            for (int i = 0; i < nodes; i++)
            {
                int row = shape.Next(2) == 0 ? -1 : _tree.AddRow();
                if (row >= 0) Q(shape.Next(Vocabulary)).CopyTo(_tree.Row(row));
                _tree.Add(shape.Next(Vocabulary), shape.Next(-1, i), row);
            }
            Step(verifier, random, position + _length);
        }
        return _output.AsSpan(0, _length);
    }

    public void Dispose() => _tree.Release();

    private void Expand(IVerifier verifier, int[] widths, int depth, int parent, int after, Siblings siblings, in TokenRandom random, int position)
    {
        if (depth == widths.Length) return;
        Span<float> left = stackalloc float[Vocabulary];
        Q(after).CopyTo(left);
        for (int s = 0; s < widths[depth]; s++)
        {
            int row = -1, token;
            if (siblings == Siblings.Best)
            {
                token = left.IndexOf(Largest(left));
                left[token] = -1;
            }
            else
            {
                row = _tree.AddRow();
                left.CopyTo(_tree.Row(row));
                token = verifier.Draw(left, random, position + depth, s);
                if (siblings == Siblings.Distinct)
                {
                    float rest = 0;
                    left[token] = 0;
                    foreach (float x in left) rest += x;
                    foreach (ref float x in left) x /= rest;
                }
            }
            int node = _tree.Add(token, parent, row);
            Expand(verifier, widths, depth + 1, node, token, siblings, random, position);
        }
    }

    private static float Largest(Span<float> values)
    {
        float largest = values[0];
        foreach (float value in values) largest = MathF.Max(largest, value);
        return largest;
    }

    private static double[] Weights(Random random, int vocabulary)
    {
        double[] weights = [.. Enumerable.Range(0, vocabulary).Select(_ => random.Next(6) == 0 ? 0 : Math.Exp(random.NextDouble() * 4))];
        weights[random.Next(vocabulary)] += 1;
        weights[random.Next(vocabulary)] += 5;
        return weights;
    }

    private static float[] Normalise(double[] weights)
    {
        double total = weights.Sum();
        return [.. weights.Select(w => (float)(w / total))];
    }
}
