namespace Slipstream.Conformance;
public sealed class SmokeTests { [Fact] public void Builds() => Assert.NotNull(typeof(Slipstream.Numerics.Linear)); }
