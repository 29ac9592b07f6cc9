using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Slipstream;

/// <summary>Dependency injection.</summary>
public static class SlipstreamServiceCollectionExtensions
{
    /// <summary>Registers a <see cref="LanguageModel"/>, loaded when it is first asked for, and an <see cref="IChatClient"/> over it. Both are singletons.</summary>
    /// <param name="services">The services.</param>
    /// <param name="path">The model's folder or file.</param>
    /// <param name="options">How to run it; null takes the defaults.</param>
    /// <param name="generation">Options that chat requests start from; null takes the model's.</param>
    /// <returns>The services.</returns>
    public static IServiceCollection AddSlipstream(this IServiceCollection services, string path, ModelOptions? options = null, GenerationOptions? generation = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrEmpty(path);
        services.TryAddSingleton(provider =>
        {
            ILogger<LanguageModel> logger = provider.GetService<ILogger<LanguageModel>>() ?? NullLogger<LanguageModel>.Instance;
            return LanguageModel.Load(path, (options ?? new ModelOptions()) with { Logger = options?.Logger ?? logger });
        });
        services.TryAddSingleton<IChatClient>(provider => new SlipstreamChatClient(provider.GetRequiredService<LanguageModel>(), Path.GetFileName(path), generation));
        return services;
    }
}
