using Slipstream.Numerics;
using Slipstream.Numerics.Kernels;

namespace Slipstream.Models;

/// <summary>A pre-norm layer: <c>h += attention(norm(h)); h += feedForward(norm(h))</c>.</summary>
internal sealed class DecoderLayer(Norm attentionNorm, Attention attention, Norm feedForwardNorm, FeedForward feedForward)
{
    public void Run(in ForwardBatch batch, Workspace workspace, Matrix hidden)
    {
        Matrix branch = workspace.Branch(hidden.Rows);
        StageClock? clock = workspace.Pool.Clock;
        clock?.Enter(Stage.Norm);
        attentionNorm.Apply(hidden, workspace.Activations.Begin(hidden.Rows, hidden.Columns), workspace.Pool);
        attention.Run(in batch, workspace, branch);
        clock?.Enter(Stage.Residual);
        AddInPlace.Apply(hidden.Data, branch.Data);
        clock?.Enter(Stage.Norm);
        feedForwardNorm.Apply(hidden, workspace.Activations.Begin(hidden.Rows, hidden.Columns), workspace.Pool);
        clock?.Enter(Stage.Products);
        feedForward.Run(workspace, branch);
        clock?.Enter(Stage.Residual);
        AddInPlace.Apply(hidden.Data, branch.Data);
        clock?.Enter(Stage.Other);
    }
}
