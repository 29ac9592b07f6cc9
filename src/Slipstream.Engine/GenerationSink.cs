using System.Text;
using System.Threading.Channels;
using Slipstream.Models;
using Slipstream.Sampling;
using Slipstream.Scheduling;
using Slipstream.Speculation;

namespace Slipstream;

/// <summary>Turns what the loop commits into text, and into updates where somebody reads them. Runs on the loop's thread; the reader drains the channel.</summary>
internal sealed class GenerationSink : ISequenceSink
{
    // Waking a reader for each token takes as long as a layer of a small model; who only wants the result is woken once.
    private readonly Channel<GenerationUpdate>? _channel;
    private readonly TaskCompletionSource<GenerationResult> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TokenStream? _stream;
    private readonly StopStringMatcher _stops;
    private readonly StringBuilder _text = new();
    private readonly List<int> _tokens = [];
    private readonly List<StepLogprobs> _logprobs = [];
    private readonly int? _topLogprobs;
    private readonly TimeProvider _clock;
    private readonly long _submitted;
    private readonly EngineLoop _loop;
    private readonly GenerationRequest _request;
    private readonly TimeSpan _draftBefore, _forwardBefore;
    private long _first, _last;

    /// <param name="request">What was asked for.</param>
    /// <param name="tokenizer">Makes text of tokens; null for none.</param>
    /// <param name="loop">Whose times the result states.</param>
    /// <param name="clock">The clock.</param>
    /// <param name="streams">Whether <see cref="Updates"/> will be read.</param>
    public GenerationSink(GenerationRequest request, Tokenizer? tokenizer, EngineLoop loop, TimeProvider clock, bool streams)
    {
        if (streams) _channel = Channel.CreateUnbounded<GenerationUpdate>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
        _request = request;
        _stream = tokenizer?.CreateStream();
        _stops = new StopStringMatcher(request.Options.StopStrings);
        _topLogprobs = request.Options.TopLogprobs;
        _loop = loop;
        _clock = clock;
        _submitted = clock.GetTimestamp();
        (_draftBefore, _forwardBefore) = (loop.DraftTime, loop.ForwardTime);
    }

    /// <summary>What was generated, piece by piece, of a sink that streams.</summary>
    public ChannelReader<GenerationUpdate> Updates => _channel!.Reader;

    /// <summary>Ends with the result, or with the failure, of a sink that does not stream.</summary>
    public Task<GenerationResult> Completion => _result.Task;

    /// <summary>The sequence, once it is made.</summary>
    public Sequence? Sequence { get; set; }

    public bool OnToken(int token, ReadOnlySpan<float> logits)
    {
        _last = _clock.GetTimestamp();
        if (_tokens.Count == 0) _first = _last;
        _tokens.Add(token);
        if (_topLogprobs is { } top)
        {
            TokenLogprob[] best = new TokenLogprob[Math.Min(top, logits.Length)];
            _logprobs.Add(new StepLogprobs(new TokenLogprob(token, TokenLogprobs.Of(logits, token, best)), best));
        }
        string text = _stream is null ? "" : _stops.Append(_stream.Append(token));
        _text.Append(text);
        _channel?.Writer.TryWrite(new GenerationUpdate(text, token, null));
        return _stops.Found;
    }

    public void OnFinished(FinishReason reason, Exception? failure)
    {
        if (failure is not null)
        {
            if (_channel is null) _result.SetException(failure);
            else _channel.Writer.TryComplete(failure);
            return;
        }
        string rest = _stream is null || _stops.Found ? "" : _stops.Append(_stream.Flush());
        if (!_stops.Found) rest += _stops.Flush();
        _text.Append(rest);
        if (_channel is null)
        {
            _result.SetResult(Result(reason));
            return;
        }
        _channel.Writer.TryWrite(new GenerationUpdate(rest, null, Result(reason)));
        _channel.Writer.TryComplete();
    }

    private GenerationResult Result(FinishReason reason)
    {
        long end = _tokens.Count == 0 ? _clock.GetTimestamp() : _last;
        TimeSpan prefill = _clock.GetElapsedTime(_submitted, _tokens.Count == 0 ? end : _first), decode = _tokens.Count == 0 ? TimeSpan.Zero : _clock.GetElapsedTime(_first, _last);
        TimeSpan draft = _loop.DraftTime - _draftBefore, verify = _loop.ForwardTime - _forwardBefore, rest = prefill + decode - draft - verify;
        return new GenerationResult
        {
            PromptTokens = _request.Tokens,
            Tokens = _tokens,
            Text = _stream is null ? null : _text.ToString(),
            FinishReason = reason,
            Sampling = _request.Sampling,
            Seed = _request.Seed,
            Speculation = Sequence?.Counts ?? new SpeculationCounts(),
            Timing = new GenerationTiming { Prefill = prefill, Decode = decode, Draft = draft, Verify = verify, Rest = rest > TimeSpan.Zero ? rest : TimeSpan.Zero },
            Logprobs = _logprobs,
        };
    }
}

/// <summary>A request with everything decided.</summary>
/// <param name="Tokens">The prompt.</param>
/// <param name="Options">The options as given.</param>
/// <param name="Sampling">The sampling options in force.</param>
/// <param name="Seed">The seed in force.</param>
internal sealed record GenerationRequest(int[] Tokens, GenerationOptions Options, SamplingOptions Sampling, ulong Seed);
