plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
    id("com.chaquo.python")
}

android {
    namespace = "org.meritrec.example"
    compileSdk = 36

    defaultConfig {
        applicationId = "org.meritrec.example"
        minSdk = 24
        targetSdk = 36
        versionCode = 1
        versionName = "1.0"
        ndk {
            // What ExecuTorch's AAR has libraries for.
            abiFilters += listOf("arm64-v8a", "x86_64")
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "proguard-rules.pro")
        }
    }
}

kotlin {
    jvmToolchain(17)
}

chaquopy {
    defaultConfig {
        version = "3.11"
        pip {
            // Our own package names what it needs elsewhere; here the requirements name all of it.
            options("--no-deps")
            install("-r", "requirements.txt")
            install("../../../") // this repository: `sdk`, `device_runtime`, `p2p`, `trust`
        }
    }
}

dependencies {
    implementation("org.pytorch:executorch-android:1.5.1")
    // Ed25519, X25519 and ChaCha20-Poly1305 on every Android; the platform's own come with newer versions only.
    implementation("org.bouncycastle:bcprov-jdk18on:1.85.2")
}
