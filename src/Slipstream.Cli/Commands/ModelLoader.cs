using System.Diagnostics;
using Slipstream.Analysis;
using Spectre.Console;

namespace Slipstream.Cli.Commands;

/// <summary>Loads models with a sign of life on standard error.</summary>
internal static class ModelLoader
{
    /// <summary>Loads a model for generation.</summary>
    /// <returns>The model and the time it took.</returns>
    /// <exception cref="SlipstreamException">It cannot be used.</exception>
    public static async Task<(LanguageModel Model, TimeSpan Time)> LoadAsync(CliConsole console, string path, ModelOptions options, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        LanguageModel model = await ShowAsync(console, path, () => LanguageModel.Load(path, options), cancellationToken).ConfigureAwait(false);
        return (model, Stopwatch.GetElapsedTime(start));
    }

    /// <summary>Loads a model for evaluation.</summary>
    /// <exception cref="SlipstreamException">It cannot be used.</exception>
    public static Task<ModelEvaluator> LoadEvaluatorAsync(CliConsole console, string path, ModelOptions options, CancellationToken cancellationToken)
        => ShowAsync(console, path, () => ModelEvaluator.Load(path, options), cancellationToken);

    private static Task<T> ShowAsync<T>(CliConsole console, string path, Func<T> load, CancellationToken cancellationToken)
    {
        // Ctrl+C does not wait for a large file: the process ends under the load.
        Task<T> Start() => Task.Run(load, CancellationToken.None).WaitAsync(cancellationToken);
        return console.IsErrorTerminal
            ? console.Status.Status().StartAsync($"Loading {Markup.Escape(Path.GetFileName(Path.TrimEndingDirectorySeparator(path)))}", _ => Start())
            : Start();
    }
}
