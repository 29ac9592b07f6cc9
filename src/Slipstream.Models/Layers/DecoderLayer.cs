using Slipstream.Numerics;

namespace Slipstream.Models;

/// <summary>A pre-norm layer: <c>h += attention(norm(h)); h += feedForward(norm(h))</c>.</summary>
internal sealed class DecoderLayer(Norm attentionNorm, Attention attention, Norm feedForwardNorm, FeedForward feedForward)
{
    /// <summary>Runs the layer but for its last addition, which whoever reads the rows next does first: what the layer adds is left in the workspace's branch.</summary>
    /// <param name="batch">The rows.</param>
    /// <param name="workspace">Where to work.</param>
    /// <param name="hidden">The residual stream, <c>[rows, hidden]</c>.</param>
    /// <param name="branch">What the layer before left to be added to it; empty for nothing.</param>
    public void Run(in ForwardBatch batch, Workspace workspace, Matrix hidden, Matrix branch)
    {
        StageClock? clock = workspace.Pool.Clock;
        attentionNorm.Apply(hidden, branch, workspace.Activations.Begin(hidden.Rows, hidden.Columns), workspace.Pool);
        branch = workspace.Branch(hidden.Rows);
        attention.Run(in batch, workspace, branch);
        feedForwardNorm.Apply(hidden, branch, workspace.Activations.Begin(hidden.Rows, hidden.Columns), workspace.Pool);
        clock?.Enter(Stage.Products);
        feedForward.Run(workspace, branch);
        clock?.Enter(Stage.Other);
    }
}
