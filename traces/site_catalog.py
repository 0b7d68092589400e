"""The traces of power limits and of hourly conditions at a site in the catalogue."""

from __future__ import annotations

from clustersim.traces.catalog_entry import Trace, TraceFile

_ZEUS_COMMIT = "75a8b9398034eb9baf74ca0a830c2c31bcce52cd"
_SUSTAIN_COMMIT = "293fbd152dae52a4b77fee50362b0b61641f16d1"
_SUSTAIN = f"https://raw.githubusercontent.com/HewlettPackard/sustain-cluster/{_SUSTAIN_COMMIT}/data/"

ZEUS = Trace(
    name="zeus",
    title="Zeus (NSDI'23): time and power of an epoch by batch size and power limit on V100, A40, RTX6000 and P100",
    licence="Apache-2.0",
    redistribution="allowed under that licence; clustersim ships no copy, only the cap curves computed from it",
    schema=(
        "summary_power_GPU.csv: dataset, network, batch_size, optimizer, power_limit (W), time_per_epoch (s), "
        "average_power (W)",
        "summary_train.csv (not used): epochs to the target accuracy",
    ),
    defects=(
        "speeds of neighbouring limits differ by less than their noise: A40 at 275 W and P100 at 225 W are slower "
        "than at the next lower limit",
        "light work (NCF) is up to 4 % faster under a limit than without",
    ),
    upstream=f"https://github.com/ml-energy/zeus at commit {_ZEUS_COMMIT}",
    base_url=f"https://raw.githubusercontent.com/ml-energy/zeus/{_ZEUS_COMMIT}/"
    "examples/research_reproducibility/zeus_nsdi23/trace/",
    folder="power_zeus_dl",
    files=(
        TraceFile("summary_power_a40.csv", "f4ec111fc9b06b353182faab9160ecb1236a486b2741ed93383b80497332031e"),
        TraceFile("summary_power_p100.csv", "158e9a6784b6e2d26710529b132cf173b227dc8688f4931c19a637bce2b7503b"),
        TraceFile("summary_power_rtx6000.csv", "edccecc7f8b7a6102962b03f0f37767dd9cd2f03469ebccadc9805e82901bdc4"),
        TraceFile("summary_power_v100.csv", "f0b066dd1a451bd78f730e001ac3a7c411979bc7f0846f12c1a9fb604aa90628"),
        TraceFile("summary_train.csv", "076b35615349ee624403006e5ad67fd9ebda92af690c7750f8bb0c2ab92c0cf4"),
    ),
)

_CARBON_SHA256 = {
    ("AU-NSW", 2023): "cc6cea81513c83442219f9b1891d0d514e7fe7a6d0b15fc7447b2fad4b359809",
    ("AU-NSW", 2024): "32de717433b5dd4fddadaecb9a5edaec817d6299e6d8e6a9929a4fd9256e6cf6",
    ("BR-SP", 2023): "795f0a534df740f45839ae085af2cf3e742899543c7c72f6d94b4320043794eb",
    ("BR-SP", 2024): "13a414f9cd316ba145d66b69985d3409321f6749a4a228122c659d1662106b6f",
    ("CA-ON", 2023): "1c51237bcb27289e7b87250b63b994ad97ef4ad369dd6cd999cc1e60ceb68dc7",
    ("CA-ON", 2024): "87df3ff61c015d458f7123aa56b08f43e31d2fc2a9afbc5abd0b481c6e236403",
    ("CL-SIC", 2023): "1f5287c0143ec2638f67ed8f367a13cddfc25f3ba3307c49dd4df6e49d8fc44c",
    ("CL-SIC", 2024): "35b01c3e662b73a201c87f4185774c2ae69c8a1982bb9dd672b99a8abf2822d1",
    ("DE-LU", 2023): "b6040328169313ca91b28806f3d69191cb6c035f45a7bcdd338a7c090d914dcb",
    ("DE-LU", 2024): "2e65817bb8208fcfa42692f7441e22d5478138c777531b0cca8f0cf25ddc1f96",
    ("GB", 2023): "1a4c844668f63b9d56639be7626062cf29f35e467d289d9b54f218c73000b999",
    ("GB", 2024): "0ca24d07eb805a7ab3c4894e333ddc3d80c4ad6d774711acab38dcd31450735c",
    ("IN-WE", 2023): "7071f8eed0b121bb6d565d99ad157d95f3b975269d327deb67b9bfe39a6bd468",
    ("IN-WE", 2024): "7ce297eb40868ef6e04bdc0c7d4d8f0fb79cdc45cdb4254e4c56d3f5f17287a7",
    ("JP-TK", 2023): "f6f7776e4359c2c4310b5d9868bf14d8e4133ec7a28dc5c1167a48f4cdd42680",
    ("JP-TK", 2024): "ebb7f7f0c7af552cd6e1f6e6872b133f4e95fa65e558d438fc1efba1f3686672",
    ("KR", 2023): "de99b2ae0f6d64681f918f11a97faf5f4c4873fd48f3aa8c4eb23e96fa613ac6",
    ("KR", 2024): "ca9cc2b16b20a79e8cc4dc3fcf6bfde9a0d1fb66d27259c916d16cf0e5a3e591",
    ("SG", 2023): "d668136330b50887e9736d194586b984b71f32c3192382b7df65739a37839de3",
    ("SG", 2024): "4d8ca801e0c0a680da2ed8268806688b4fdd18599289955271a53a90be955eae",
    ("US-CAL-CISO", 2023): "44bafab775c6b0d4762b1dc971eb293cfea154f80799a5230f9268d32e1ad55b",
    ("US-CAL-CISO", 2024): "4964c2d189afd77f38ea5e5f5433167c2d1b229ddd79cf2f6ab99d17e722c5dd",
    ("US-MIDA-PJM", 2023): "b9fe324ac94935d6b4db2855232964620387aa0021901a72a17f0af58eaf1513",
    ("US-MIDA-PJM", 2024): "97d75fd5ef7dda9980af16f5679f40ac8df6e1a4dbfd2e286ffe6f78f74b592e",
    ("US-NY-NYIS", 2023): "4e0589ba72008ebcd8437385fa1b335b59f6c3acb0433b6184ac3239c6af4c92",
    ("US-NY-NYIS", 2024): "7c31e44cd7f9e23a63391980ffd6fa577bc788b31c352485dee4b4920b57ccd4",
    ("US-TEX-ERCO", 2023): "e98066048a85422d39c877ffd281d1612d698b40e2c355a00ed0a49acaba2954",
    ("US-TEX-ERCO", 2024): "a2b82f40edac4c8ce1f2cf798769742a97492a0c8c5825644bf729b9a10cd641",
    ("ZA", 2023): "fadc2d31c62ec0fea9350e5d2ba6d93df7f6aef088f9f405ee7b908fb0bd2068",
    ("ZA", 2024): "928e9a39acadab9d0356275c89e09552bc38a8f3e025d92fdfec347eede59bc0",
}


def _carbon_file(zone: str, year: int, sha256: str) -> TraceFile:
    name = f"{zone}_{year}_hourly.csv"
    return TraceFile(f"carbon_intensity/{name}", sha256, f"{_SUSTAIN}carbon_intensity/{zone}/{year}/{name}")


CARBON = Trace(
    name="carbon",
    title="SustainCluster: hourly carbon intensity of 15 grid zones in 2023 and 2024 (Electricity Maps)",
    licence="MIT for the repository; the data keep their own terms: Electricity Maps, to our knowledge ODbL",
    redistribution="with attribution, share-alike; clustersim ships no copy",
    schema=(
        "carbon_intensity/ZONE_YEAR_hourly.csv: Datetime (UTC), ..., Carbon Intensity gCO2eq/kWh (direct) and (LCA)",
        "read as well: electricity_price/ZONE_electricity_prices_YEAR.csv: Datetime (UTC), Price (USD/MWh, may be "
        "negative); weather/ZONE_YEAR.json: a reply of Open-Meteo (temperature_2m, relative_humidity_2m, local time)",
    ),
    defects=(
        "some values are estimated (column Data Estimated)",
        "prices and weather are not in the catalogue: their terms vary by operator; put the files beside",
    ),
    upstream=f"https://github.com/HewlettPackard/sustain-cluster at commit {_SUSTAIN_COMMIT}",
    folder="carbon_price_weather",
    files=tuple(_carbon_file(zone, year, sha256) for (zone, year), sha256 in _CARBON_SHA256.items()),
)

SITE_CATALOG = (ZEUS, CARBON)
