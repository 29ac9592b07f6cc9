using System.Collections.Concurrent;
using System.CommandLine;
using Slipstream.Analysis;
using Slipstream.Cli.Input;
using Slipstream.Cli.Options;
using Slipstream.Cli.Output;
using Slipstream.Models;
using Slipstream.Numerics;

namespace Slipstream.Cli.Commands;

/// <summary><c>slipstream eval logits</c>: the logits after each token, and the hidden states, as a safetensors file.</summary>
internal sealed class EvalLogitsCommand
{
    private readonly CliConsole _console;
    private readonly ModelOptionGroup _model;
    private readonly CommandOption<string> _tokens, _output;
    private readonly CommandOption<bool> _hidden, _json;

    private EvalLogitsCommand(Command command, CliConsole console)
    {
        _console = console;
        _model = new(command);
        _tokens = new(command, "--tokens", new TextValue("IDS"), "Token ids, 1,2,3; '-' is standard input.");
        _output = new(command, "--output", new PathValue("FILE.safetensors"), "Where the tensor 'logits' [rows, vocabulary] goes, F32.");
        _hidden = new(command, "--hidden", new FlagValue(), "Write the states after the embedding and each layer too: 'hidden.0' to 'hidden.L' [rows, hidden].");
        _json = new(command, "--json", new FlagValue(), "Print one JSON object and nothing else.");
    }

    public static Command Create(CliConsole console)
    {
        Command command = new("logits", "The logits after each of the given tokens.");
        EvalLogitsCommand logits = new(command, console);
        command.SetAction(logits.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult result, CancellationToken cancellationToken)
    {
        if (!_tokens.TryGet(result, out string list)) throw new UsageException("No tokens were given; give --tokens, such as --tokens 1,2,3.");
        if (!_output.TryGet(result, out string output)) throw new UsageException("No output was given; give --output with a .safetensors file.");
        if (output == "-") throw new UsageException("--output is '-', which stands for standard input; name a file.");
        string path = _model.Path(result);
        ModelOptions options = _model.Read(result);
        int[] tokens = [.. new TextInput(_console).Tokens(_tokens.Flag, list)];
        using ModelEvaluator evaluator = await ModelLoader.LoadEvaluatorAsync(_console, path, options, cancellationToken).ConfigureAwait(false);
        HiddenStates? hidden = _hidden.IsGiven(result) ? new HiddenStates(evaluator.Config, tokens.Length) : null;
        using LogitsFeed feed = new(evaluator, tokens, hidden, cancellationToken);
        // The first row is waited for before the file is made, so that wrong tokens leave no trace.
        feed.WaitForFirst();
        List<TensorToWrite> tensors = [new("logits", [tokens.Length, evaluator.Config.VocabularySize], feed.Read), .. hidden?.Tensors() ?? []];
        await Task.Run(() => SafetensorsWriter.Write(output, tensors), CancellationToken.None).ConfigureAwait(false);
        if (_json.IsGiven(result))
        {
            _console.Out.WriteLine(Json.Object(writer =>
            {
                writer.WriteString("output", output);
                writer.WriteNumber("rows", tokens.Length);
                writer.WriteNumber("vocabulary", evaluator.Config.VocabularySize);
                writer.WriteStartArray("tensors");
                foreach (TensorToWrite tensor in tensors) writer.WriteStringValue(tensor.Name);
                writer.WriteEndArray();
            }));
        }
        else
        {
            _console.Note($"{tensors.Count} tensors of {tokens.Length} rows are in '{output}'.");
        }
        return ExitCodes.Success;
    }

    /// <summary>Computes rows on a thread of its own, a few ahead of the writer that asks for them: all rows of a long text would not fit into memory.</summary>
    private sealed class LogitsFeed : IDisposable
    {
        private readonly BlockingCollection<float[]> _rows = new(64);
        private readonly CancellationTokenSource _stop;
        private readonly CancellationToken _caller;
        private readonly Task _work;

        public LogitsFeed(ModelEvaluator evaluator, int[] tokens, HiddenStates? hidden, CancellationToken cancellationToken)
        {
            _caller = cancellationToken;
            _stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            _work = Task.Run(() =>
            {
                try
                {
                    evaluator.Logits(tokens, (_, logits) => _rows.Add(logits.ToArray(), _stop.Token), observer: hidden, cancellationToken: _stop.Token);
                }
                finally
                {
                    _rows.CompleteAdding();
                }
            }, CancellationToken.None);
        }

        /// <summary>Waits until there is a row, or fails as the work did.</summary>
        public void WaitForFirst()
        {
            while (_rows.Count == 0 && !_work.IsCompleted)
            {
                _caller.ThrowIfCancellationRequested();
                Thread.Sleep(1);
            }
            if (_work.IsCompleted) _work.GetAwaiter().GetResult();
        }

        /// <summary>Gives rows in order.</summary>
        public void Read(long firstRow, int rows, Span<float> destination)
        {
            int width = destination.Length / rows;
            for (int row = 0; row < rows; row++)
            {
                if (!_rows.TryTake(out float[]? values, Timeout.Infinite))
                {
                    _work.GetAwaiter().GetResult();
                    throw new InvalidOperationException($"The evaluator gave no row {firstRow + row}.");
                }
                values.CopyTo(destination.Slice(row * width, width));
            }
        }

        public void Dispose()
        {
            _stop.Cancel();
            // Only its end matters here; its failure, if any, has been told.
            _ = _work.ContinueWith(static work => _ = work.Exception, TaskScheduler.Default);
            ((IAsyncResult)_work).AsyncWaitHandle.WaitOne();
            _stop.Dispose();
            _rows.Dispose();
        }
    }

    /// <summary>Keeps the states that come chunk by chunk.</summary>
    private sealed class HiddenStates(ModelConfig config, int rows) : IHiddenStateObserver
    {
        private readonly float[][] _states = [.. Enumerable.Range(0, config.Layers + 1).Select(_ => new float[checked(rows * config.HiddenSize)])];
        private readonly int[] _filled = new int[config.Layers + 1];

        public void OnHiddenStates(int index, Matrix states)
        {
            for (int row = 0; row < states.Rows; row++) states[row].CopyTo(_states[index].AsSpan(_filled[index]++ * config.HiddenSize, config.HiddenSize));
        }

        public IEnumerable<TensorToWrite> Tensors()
        {
            // Filled by the time they are asked for: they are written after the logits.
            for (int i = 0; i < _states.Length; i++) yield return TensorToWrite.FromValues($"hidden.{i}", [rows, config.HiddenSize], _states[i]);
        }
    }
}
