using System.Buffers;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using Slipstream.Cli.Input;
using Slipstream.Cli.Output;
using Spectre.Console;

namespace Slipstream.Cli.Commands;

/// <summary>
/// Works through a file of requests. Each result is appended to the output as soon as all before it are there, and carries a fingerprint of its request:
/// a run that was cut off, however hard, drops the half line it left, checks the whole ones and goes on behind them.
/// </summary>
internal sealed class BulkGeneration(CliConsole console, LanguageModel model, TimeSpan load, BulkJob job, string modelPath, ModelOptions options, string output)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private long _tokens;

    /// <summary>Generates what is missing.</summary>
    /// <returns>The exit code.</returns>
    /// <exception cref="SlipstreamException">A request cannot be taken, or the output cannot be written or belongs to other requests.</exception>
    public async Task<int> RunAsync(bool json, CancellationToken cancellationToken)
    {
        (IReadOnlyList<int> Tokens, string Fingerprint)[] requests = Check();
        int resumed;
        try
        {
            using BulkOutput file = BulkOutput.Open(output);
            resumed = file.Resume([.. requests.Select(request => request.Fingerprint)]);
            if (resumed > 0) console.Note($"{resumed} of {requests.Length} results are in '{output}' already.");
            await ShowAsync(requests.Length, resumed, done => GenerateAsync(requests, resumed, file, done, cancellationToken)).ConfigureAwait(false);
        }
        catch (Exception e) when (FileFailure.Is(e))
        {
            throw FileFailure.Writing(output, e);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            console.Warn($"the results so far are in '{output}'; the same command goes on from there.");
            throw;
        }
        Report(json, requests.Length, resumed);
        return ExitCodes.Success;
    }

    /// <summary>Encodes and checks every request before the first is generated: an hour of work does not end at a line that was wrong from the start.</summary>
    private (IReadOnlyList<int> Tokens, string Fingerprint)[] Check()
    {
        (IReadOnlyList<int>, string)[] requests = new (IReadOnlyList<int>, string)[job.Requests.Count];
        foreach (BulkRequest request in job.Requests)
        {
            try
            {
                IReadOnlyList<int> tokens = model.Encode(request.Prompt);
                if (tokens.Count == 0) throw new SlipstreamException("the prompt has no tokens; give at least one.");
                if (tokens.Count >= model.Config.ContextLength)
                    throw new SlipstreamException($"the prompt has {tokens.Count} tokens, but the model's context is {model.Config.ContextLength} and must leave room for at least one more; shorten it.");
                requests[request.Line - 1] = (tokens, Fingerprint(request, tokens));
            }
            catch (SlipstreamException e)
            {
                throw new SlipstreamException(BulkJob.At(job.Path, request.Line, e.Message), e);
            }
        }
        return requests;
    }

    private async Task GenerateAsync((IReadOnlyList<int> Tokens, string Fingerprint)[] requests, int first, BulkOutput file, Action<int> done, CancellationToken cancellationToken)
    {
        // Twice the batch: while the oldest request still runs, those behind it keep the batch full.
        int inFlight = 2 * options.MaxBatch, next = first;
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Queue<Task<(GenerationResult Result, TimeSpan? FirstToken)>> running = new();
        try
        {
            for (int line = first; line < requests.Length; line++)
            {
                for (; next < requests.Length && running.Count < inFlight; next++) running.Enqueue(GenerateOneAsync(job.Requests[next], stop.Token));
                (GenerationResult result, TimeSpan? firstToken) = await WaitAsync(running.Dequeue(), line + 1).ConfigureAwait(false);
                RunFacts facts = new(load, firstToken, model.DrafterName, model.DraftParameters);
                string fingerprint = requests[line].Fingerprint;
                file.Append(Json.Object(writer =>
                {
                    ResultJson.Write(writer, result, facts);
                    writer.WriteString(BulkOutput.FingerprintName, fingerprint);
                }));
                _tokens += result.Tokens.Count;
                done(line + 1);
            }
        }
        finally
        {
            await stop.CancelAsync().ConfigureAwait(false);
            foreach (Task task in running) await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task<(GenerationResult Result, TimeSpan? FirstToken)> WaitAsync(Task<(GenerationResult Result, TimeSpan? FirstToken)> task, int line)
    {
        try
        {
            return await task.ConfigureAwait(false);
        }
        catch (SlipstreamException e)
        {
            throw new SlipstreamException(BulkJob.At(job.Path, line, e.Message), e);
        }
    }

    private async Task<(GenerationResult Result, TimeSpan? FirstToken)> GenerateOneAsync(BulkRequest request, CancellationToken cancellationToken)
    {
        GenerationResult? result = null;
        TimeSpan? firstToken = null;
        await foreach (GenerationUpdate update in model.StreamAsync(request.Prompt, request.Settings.Over(model.Defaults.Sampling), cancellationToken).ConfigureAwait(false))
        {
            if (update.Token is not null) firstToken ??= console.SinceStart;
            result = update.Result ?? result;
        }
        // A result that was cut short must not stand in the output, where it would count as done.
        cancellationToken.ThrowIfCancellationRequested();
        return (result!, firstToken);
    }

    /// <summary>What decides a result: the model, the drafter, the prompt and the options; not the threads or the batch, which change nothing.</summary>
    private string Fingerprint(BulkRequest request, IReadOnlyList<int> tokens)
    {
        ArrayBufferWriter<byte> buffer = new();
        using (Utf8JsonWriter writer = new(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("model", Path.GetFullPath(modelPath));
            writer.WriteString("activations", options.Activations.ToString());
            if (options.CacheType is { } type) writer.WriteString("cache_type", type.ToString());
            writer.WriteString("drafter", options.Drafter switch { null => null, DrafterOptions.DraftModel draft => Path.GetFullPath(draft.Path), { } other => other.ToString() });
            writer.Numbers("tokens", tokens);
            writer.WritePropertyName("options");
            request.Settings.Write(writer);
            writer.WriteEndObject();
        }
        return Convert.ToHexStringLower(SHA256.HashData(buffer.WrittenSpan).AsSpan(0, 8));
    }

    private Task ShowAsync(int total, int resumed, Func<Action<int>, Task> work)
    {
        if (!console.IsErrorTerminal) return work(_ => { });
        return console.Status.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .StartAsync(async context =>
            {
                ProgressTask bar = context.AddTask("Requests", maxValue: Math.Max(1, total));
                bar.Value = resumed;
                await work(done =>
                {
                    bar.Value = done;
                    bar.Description = $"{done} of {total}, {Speed:0} tokens/s";
                }).ConfigureAwait(false);
                bar.Value = bar.MaxValue;
            });
    }

    private double Speed => Stopwatch.GetElapsedTime(_start).TotalSeconds is double seconds and > 0 ? _tokens / seconds : 0;

    private void Report(bool json, int requests, int resumed)
    {
        TimeSpan time = Stopwatch.GetElapsedTime(_start);
        if (json)
        {
            console.Out.WriteLine(Json.Object(writer =>
            {
                writer.WriteString("output", output);
                writer.WriteNumber("requests", requests);
                writer.WriteNumber("resumed", resumed);
                writer.WriteNumber("generated_tokens", _tokens);
                writer.WriteStartObject("timing");
                writer.Milliseconds("load_ms", load);
                writer.Milliseconds("generate_ms", time);
                writer.Ratio("tokens_per_second", _tokens, time.TotalSeconds);
                writer.WriteEndObject();
            }));
            return;
        }
        console.Status.MarkupLineInterpolated($"[green]done[/] {requests} results in '{output}' [grey]·[/] {resumed} of an earlier run [grey]·[/] {_tokens} tokens at [bold]{Speed:0.0} tokens/s[/]");
    }
}
