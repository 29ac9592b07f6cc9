using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Models;

/// <summary>The part of a layer that looks at one row at a time.</summary>
internal abstract class FeedForward
{
    /// <summary>Reads the rows of the workspace's activations and writes the branch's result.</summary>
    /// <param name="workspace">Its activations hold the input, <c>[rows, hidden]</c>; they are overwritten.</param>
    /// <param name="output"><c>[rows, hidden]</c>, overwritten.</param>
    public abstract void Run(Workspace workspace, Matrix output);
}

/// <summary><c>down(silu(gate(x)) · up(x))</c> (Shazeer, arXiv:2002.05202), or with a GELU gate.</summary>
internal sealed class GatedFeedForward(Dense gate, Dense up, Dense down, ActivationKind activation) : FeedForward
{
    private readonly LinearGroup _gateAndUp = new(gate.Weight, up.Weight);
    // A bias comes between, and rows that are used where they lie are whole vectors.
    private readonly bool _combines = !gate.HasBias && !up.HasBias && gate.OutFeatures == Activations.PadFloats(gate.OutFeatures);
    private readonly Combination _combine = activation == ActivationKind.Silu ? SwiGlu.Apply : (gates, ups, y) =>
    {
        ElementwiseActivation.Apply(activation, gates, y);
        MultiplyInPlace.Apply(y, ups);
    };

    public override void Run(Workspace workspace, Matrix output)
    {
        Activations x = workspace.Activations;
        int rows = x.Rows;
        Matrix gates = workspace.Gate(rows), ups = workspace.Up(rows);
        if (!_combines || !_gateAndUp.CanCombine)
        {
            _gateAndUp.Multiply(x, gates, ups, default, workspace.Pool);
            gate.AddBiasTo(gates);
            up.AddBiasTo(ups);
            workspace.Pool.Clock?.Enter(Stage.Gate);
            Job job = new() { Gate = gates, Up = ups, Y = x.Begin(rows, gate.OutFeatures), Combine = _combine };
            workspace.Pool.For(ref job, rows, ShortJob.Rows(ShortJob.Nonlinear * job.Y.Columns));
            workspace.Pool.Clock?.Enter(Stage.Products);
        }
        else _gateAndUp.MultiplyAndCombine(x, gates, ups, _combine, down.Weight, workspace.Pool);
        down.Multiply(x, output, workspace.Pool);
    }

    private ref struct Job : IRangeJob
    {
        public Matrix Gate, Up, Y;
        public Combination Combine;

        public readonly void Execute(int from, int to, int worker)
        {
            for (int row = from; row < to; row++) Combine(Gate[row], Up[row], Y[row]);
        }
    }
}

/// <summary><c>down(act(up(x)))</c>, as in GPT-2.</summary>
internal sealed class PlainFeedForward(Dense up, Dense down, ActivationKind activation) : FeedForward
{
    public override void Run(Workspace workspace, Matrix output)
    {
        Activations x = workspace.Activations;
        int rows = x.Rows;
        Matrix ups = workspace.Up(rows);
        up.Multiply(x, ups, workspace.Pool);
        workspace.Pool.Clock?.Enter(Stage.Gate);
        Job job = new() { X = ups, Y = x.Begin(rows, up.OutFeatures), Activation = activation };
        workspace.Pool.For(ref job, rows, ShortJob.Rows(ShortJob.Nonlinear * job.Y.Columns));
        workspace.Pool.Clock?.Enter(Stage.Products);
        down.Multiply(x, output, workspace.Pool);
    }

    private ref struct Job : IRangeJob
    {
        public Matrix X, Y;
        public ActivationKind Activation;

        public readonly void Execute(int from, int to, int worker)
        {
            for (int row = from; row < to; row++) ElementwiseActivation.Apply(Activation, X[row], Y[row]);
        }
    }
}

/// <summary>Applies a non-linearity to one row.</summary>
internal static class ElementwiseActivation
{
    public static void Apply(ActivationKind kind, ReadOnlySpan<float> x, Span<float> y)
    {
        switch (kind)
        {
            case ActivationKind.Silu: Silu.Apply(x, y); break;
            case ActivationKind.GeluTanh: Gelu.Tanh(x, y); break;
            default: Gelu.Erf(x, y); break;
        }
    }
}
